// Reads sequences from its standard input and tells of each whether the emulation can do what the
// kernels did. Line by line:
//
//   check MAX_RUNS NODE NODE ...     or: play SEED NODE NODE ...
//   step NUMBER
//   open NODE HANDLE r|w t|-         close, interrupt NODE HANDLE
//   write NODE HANDLE HEX            unlink, kill NODE
//   seen LINE                        as commands.ts:linesOf() has them
//   end
//
// The answer to `check` is one of
//
//   agrees RUNS
//   disagrees RUNS STEP              then, for each thing that the emulation can do in that step,
//   undecided RUNS STEP              `alternative` and `seen LINE` ...; and then `end`
//
// and to `play`, for each step, `step NUMBER` and `seen LINE` ..., of a run in which chance decides;
// then `end`. Commands that make no sense are left out there.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <random>
#include <set>
#include <sstream>
#include <string>

#include "commands.h"
#include "search.h"
#include "world.h"

namespace stackglue::conformance {
namespace {

[[noreturn]] void Misread(const std::string& line) {
  std::fprintf(stderr, "o2dlm-checker: cannot read \"%s\"\n", line.c_str());
  std::exit(2);
}

// "h3@1 waits", "h3@1 failed with 4", "h3@1 block ..."; "unlink@2 16".
void AddSeen(const std::string& line, Step* step) {
  if (!step->seen.empty()) step->seen += '\n';
  step->seen += line;
  const size_t space = line.find(' ');
  const size_t at = line.find('@');
  if (space == std::string::npos || at == std::string::npos) Misread(line);
  if (line.front() != 'h') {
    step->unlinks[std::atoi(line.c_str() + at + 1)] = std::atoi(line.c_str() + space);
    return;
  }
  const std::string state = line.substr(space + 1);
  const std::string failed = "failed with ";
  std::optional<int> result;
  if (state.starts_with(failed)) {
    result = std::atoi(state.c_str() + failed.size());
  } else if (state != "waits") {
    result = 0;
  }
  step->results[std::atoi(line.c_str() + 1)] = result;
}

Command ToCommand(const std::string& line) {
  std::istringstream words(line);
  std::string kind;
  std::string word;
  Command command;
  words >> kind >> command.node;
  using Kind = Command::Kind;
  if (kind == "unlink" || kind == "kill") {
    command.kind = kind == "kill" ? Kind::kKill : Kind::kUnlink;
  } else {
    words >> command.handle;
    if (kind == "open") {
      std::string tries;
      words >> word >> tries;
      command.kind = Kind::kOpen;
      command.writes = word == "w";
      command.tries = tries == "t";
    } else if (kind == "write") {
      words >> word;
      command.kind = Kind::kWrite;
      for (size_t at = 0; at + 1 < word.size(); at += 2) {
        const std::string digits = word.substr(at, 2);
        command.bytes.push_back(
            static_cast<uint8_t>(std::strtoul(digits.c_str(), nullptr, 16)));
      }
    } else if (kind == "close" || kind == "interrupt") {
      command.kind = kind == "close" ? Kind::kClose : Kind::kInterrupt;
    } else {
      Misread(line);
    }
  }
  if (words.fail()) Misread(line);
  return command;
}

class Chance final : public Choices {
 public:
  explicit Chance(uint32_t seed) : random_(seed) {}
  std::optional<int> Choose(int count, const World&) override {
    return static_cast<int>(random_() % static_cast<unsigned>(count));
  }

 private:
  std::mt19937 random_;
};

void PrintSeen(const std::string& seen) {
  std::istringstream lines(seen);
  for (std::string line; std::getline(lines, line);) std::cout << "seen " << line << '\n';
}

void Check(const Sequence& sequence, int64_t max_runs) {
  bool dies = false;
  for (const Step& step : sequence.steps) {
    for (const Command& command : step.commands) dies |= command.kind == Command::Kind::kKill;
  }
  std::vector<int> order = sequence.nodes;
  Search first(sequence, order, max_runs);
  Search::Outcome outcome = first.Run();
  int64_t runs = first.runs();
  Search* last = &first;
  std::reverse(order.begin(), order.end());
  Search second(sequence, order, max_runs);
  // It matters only when a node dies which of the others is first.
  if (dies && outcome != Search::Outcome::kAgrees) {
    const Search::Outcome other = second.Run();
    runs += second.runs();
    if (other == Search::Outcome::kAgrees || second.furthest() > first.furthest()) last = &second;
    if (outcome == Search::Outcome::kDisagrees || other == Search::Outcome::kAgrees) outcome = other;
  }
  if (outcome == Search::Outcome::kAgrees) {
    std::cout << "agrees " << runs << '\n';
    return;
  }
  const bool disagrees = outcome == Search::Outcome::kDisagrees;
  std::cout << (disagrees ? "disagrees " : "undecided ") << runs << ' '
            << sequence.steps[last->furthest()].number << '\n';
  for (const std::string& seen : last->Alternatives()) {
    std::cout << "alternative\n";
    PrintSeen(seen);
  }
  std::cout << "end\n";
}

void Play(const Sequence& sequence, uint32_t seed) {
  Chance chance(seed);
  World world(sequence.nodes, &chance);
  for (const Step& step : sequence.steps) {
    world.Run(step, false);
    std::cout << "step " << step.number << '\n';
    PrintSeen(world.Observe());
  }
  std::cout << "end\n";
}

int Main() {
  Sequence sequence;
  std::string verb;
  int64_t number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    if (line.starts_with("check ") || line.starts_with("play ")) {
      sequence = {};
      std::istringstream words(line);
      words >> verb >> number;
      for (int node = 0; words >> node;) sequence.nodes.push_back(node);
    } else if (line.starts_with("step ")) {
      sequence.steps.emplace_back().number = std::atoi(line.c_str() + 5);
    } else if (line == "end") {
      if (verb == "check") {
        Check(sequence, number);
      } else {
        Play(sequence, static_cast<uint32_t>(number));
      }
      std::cout.flush();
    } else if (sequence.steps.empty()) {
      Misread(line);
    } else if (line.starts_with("seen ")) {
      AddSeen(line.substr(5), &sequence.steps.back());
    } else {
      sequence.steps.back().commands.push_back(ToCommand(line));
    }
  }
  return 0;
}

}  // namespace
}  // namespace stackglue::conformance

int main() { return stackglue::conformance::Main(); }
