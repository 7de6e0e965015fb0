// What happened in a simulation, line by line, with the choices that chance made; and the way back:
// an earlier history, whose choices are made again, and from which nothing may differ.
//
//   0.000310 n1 lock 1 "counter" EX  [734]
//   <seconds> <who> <what>  [<choices made between this line and the next>]
//
// Threads: none of its own; one thread drives a simulation.
//
// Invariants: the same seed and the same calls give the same text on every machine; each choice is
// in the text exactly once, so a text makes the same choices without the generator that made them.
#ifndef STACKGLUE_NATIVE_SIMULATOR_HISTORY_H_
#define STACKGLUE_NATIVE_SIMULATOR_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stackglue::simulator {

// splitmix64: the same everywhere, unlike the distributions of <random>.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // 0 to `bound` - 1.
  uint64_t Below(uint64_t bound) { return Next() % bound; }

 private:
  uint64_t state_;
};

class History {
 public:
  // Where a replay left the history that it was to follow.
  struct Divergence {
    size_t line = 0;       // of the expected history, from 1
    std::string expected;  // that line, with its choices; empty: the history ends before it
    std::string actual;    // what there was instead
  };

  explicit History(uint64_t seed) : random_(seed) {}

  // From now on the choices are those of `text`, and its lines are expected. Before the first line.
  void Follow(std::string_view text);

  // Begins a line.
  void Note(const std::string& line);
  // A choice from 0 to `bound` - 1. Of one possibility nothing is noted.
  uint64_t Choose(uint64_t bound);

  // The first difference from what is followed. After it the choices mean nothing.
  const std::optional<Divergence>& divergence() const { return divergence_; }
  // The lines that are followed and have not happened yet.
  size_t lines_left() const { return expected_.size() > lines_ ? expected_.size() - lines_ : 0; }
  std::string Text() const;

 private:
  struct Line {
    std::string text;
    std::vector<uint64_t> choices;
  };

  static Line Parse(std::string_view line);
  static std::string Format(const Line& line);
  void Diverge(size_t line, std::string actual);

  Random random_;
  std::string text_;  // the lines that are complete
  Line current_;
  size_t lines_ = 0;
  bool follows_ = false;
  std::vector<Line> expected_;
  std::optional<Divergence> divergence_;
};

}  // namespace stackglue::simulator

#endif  // STACKGLUE_NATIVE_SIMULATOR_HISTORY_H_
