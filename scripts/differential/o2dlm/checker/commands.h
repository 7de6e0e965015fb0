// A file's part of a sequence: what was asked of dlmfs, and what the kernels showed.
#ifndef STACKGLUE_SCRIPTS_CONFORMANCE_O2DLM_CHECKER_COMMANDS_H_
#define STACKGLUE_SCRIPTS_CONFORMANCE_O2DLM_CHECKER_COMMANDS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace stackglue::differential {

struct Command {
  enum class Kind : uint8_t { kOpen, kClose, kWrite, kInterrupt, kUnlink, kKill };
  Kind kind = Kind::kOpen;
  int node = 0;
  int handle = 0;
  bool writes = false;         // kOpen: EX, else PR
  bool tries = false;          // kOpen: O_NONBLOCK
  std::vector<uint8_t> bytes;  // kWrite
};

struct Step {
  int number = 0;  // in the sequence
  std::vector<Command> commands;
  // Sorted lines, as commands.ts:linesOf() has them.
  std::string seen;
  // The same, by handle: nothing while it waits.
  std::map<int, std::optional<int>> results;
  std::map<int, int> unlinks;  // by node
};

struct Sequence {
  std::vector<int> nodes;
  std::vector<Step> steps;
};

}  // namespace stackglue::differential

#endif  // STACKGLUE_SCRIPTS_CONFORMANCE_O2DLM_CHECKER_COMMANDS_H_
