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
// and to `play`, for each step, `step NUMBER` and `seen LINE` ..., of a run in which chance
// decides; then `end`. Commands that make no sense are left out there.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "commands.h"
#include "search.h"
#include "world.h"

namespace stackglue::differential {
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
        command.bytes.push_back(static_cast<uint8_t>(std::strtoul(digits.c_str(), nullptr, 16)));
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

// Mostly takes what is likely, as a real system does.
class Chance final : public Choices {
 public:
  explicit Chance(uint32_t seed) : random_(seed) {}
  std::optional<int> Choose(int count, const World&) override {
    if (random_() % 4 != 0) return 0;
    return static_cast<int>(random_() % static_cast<unsigned>(count));
  }

 private:
  std::mt19937 random_;
};

void PrintSeen(const std::string& seen) {
  std::istringstream lines(seen);
  for (std::string line; std::getline(lines, line);) std::cout << "seen " << line << '\n';
}

void PrintFurthest(const char* outcome, int64_t runs, const Sequence& sequence, Search* search) {
  std::cout << outcome << ' ' << runs << ' ' << sequence.steps[search->furthest()].number << '\n';
  for (const std::string& seen : search->Alternatives()) {
    std::cout << "alternative\n";
    PrintSeen(seen);
  }
  std::cout << "end\n";
}

void Check(const Sequence& sequence, int64_t max_runs) {
  bool dies = false;
  for (const Step& step : sequence.steps) {
    for (const Command& command : step.commands) dies |= command.kind == Command::Kind::kKill;
  }
  // It matters only when a node dies which of the others is first.
  std::vector<std::vector<int>> orders(1, sequence.nodes);
  if (dies) orders.emplace_back(sequence.nodes.rbegin(), sequence.nodes.rend());
  // What is unlikely by one guess may be likely by another: first a little with each.
  std::vector<std::pair<Haste, int64_t>> attempts;
  for (const int64_t limit : {max_runs / 100, max_runs / 10, max_runs}) {
    for (const Haste haste : {Haste::kTasks, Haste::kThread, Haste::kEvents}) {
      attempts.emplace_back(haste, limit);
    }
  }

  int64_t runs = 0;
  std::unique_ptr<Search> furthest;
  for (const auto& [haste, limit] : attempts) {
    for (size_t at = 0; at < orders.size();) {
      auto search = std::make_unique<Search>(sequence, orders[at], haste, limit);
      const Search::Outcome outcome = search->Run();
      runs += search->runs();
      if (outcome == Search::Outcome::kAgrees) {
        std::cout << "agrees " << runs << '\n';
        return;
      }
      if (outcome == Search::Outcome::kDisagrees) {
        orders.erase(orders.begin() + static_cast<std::ptrdiff_t>(at));
      } else {
        ++at;
      }
      if (furthest == nullptr || search->furthest() > furthest->furthest()) {
        furthest = std::move(search);
      }
    }
  }
  PrintFurthest(orders.empty() ? "disagrees" : "undecided", runs, sequence, furthest.get());
}

void Play(const Sequence& sequence, uint32_t seed) {
  Chance chance(seed);
  World world(sequence.nodes, Haste::kTasks, &chance);
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
}  // namespace stackglue::differential

int main() { return stackglue::differential::Main(); }
