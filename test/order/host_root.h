// Leads what native/util/host_path.h names into a folder of this program's own. The files of libdlm
// that the random test runs are compiled with this in front (test/engines/build.mjs).
#ifndef STACKGLUE_TEST_ORDER_HOST_ROOT_H_
#define STACKGLUE_TEST_ORDER_HOST_ROOT_H_

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace stackglue::order::test {

// Made when it is first asked for.
inline const std::string& Root() {
  static const std::string root = [] {
    std::string name = (std::filesystem::temp_directory_path() / "stackglue-order-XXXXXX").string();
    return std::string(mkdtemp(name.data()));
  }();
  return root;
}

}  // namespace stackglue::order::test

#define STACKGLUE_HOST_ROOT (::stackglue::order::test::Root())

#endif  // STACKGLUE_TEST_ORDER_HOST_ROOT_H_
