#include "kernel/keeper_environment.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "util/text_file.h"

// A build for tests names what its doubles need, too (test/fake-device).
#ifndef STACKGLUE_KEEPER_VARIABLES
#define STACKGLUE_KEEPER_VARIABLES
#endif

namespace stackglue::kernel {
namespace {

bool IsForKeeper(std::string_view variable) {
  constexpr auto kNames =
      std::to_array<std::string_view>({"LD_LIBRARY_PATH", STACKGLUE_KEEPER_VARIABLES});
  const std::string_view name = variable.substr(0, variable.find('='));
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

}  // namespace

const std::vector<std::string>& KeeperEnvironment() {
  static const std::vector<std::string> environment = [] {
    std::vector<std::string> variables;
    TextFile all("/proc/self/environ", '\0');
    for (std::string variable; all.Next(&variable);) {
      if (IsForKeeper(variable)) variables.push_back(variable);
    }
    return variables;
  }();
  return environment;
}

}  // namespace stackglue::kernel
