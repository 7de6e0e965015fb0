// What the tests tell a machine to do: README.md lists the commands.
#include <linux/dlm.h>

#include <map>
#include <sstream>

#include "machine/machine.h"

namespace stackglue::fake_device {
namespace {

const std::map<std::string, Rule> kRules = {{"grant", Rule::kGrant},
                                            {"wait", Rule::kWait},
                                            {"refuse", Rule::kRefuse},
                                            {"lose", Rule::kLose}};

}  // namespace

std::string Machine::Command(const std::string& line) {
  std::istringstream words(line);
  std::string verb;
  words >> verb;
  if (verb == "state") return State();
  if (verb == "hold") {
    holds_ = true;
    return "ok";
  }
  if (verb == "admit") {
    holds_ = false;
    AdmitHeld();
    return "ok";
  }
  if (verb == "udev") {
    std::string word;
    words >> word;
    is_udev_off_ = word != "on";
    if (word != "off") EndUnnamed(word == "on");
    return "ok";
  }
  if (verb == "silence" || verb == "say") {
    is_silent_ = verb == "silence";
    while (!is_silent_ && Say()) {
    }
    return "ok";
  }
  if (verb == "say-one") {
    Say();
    return "ok";
  }
  if (verb == "quorum") {
    std::string word;
    words >> word;
    SetQuorum(word == "on");
    return "ok";
  }
  if (verb == "lose" || verb == "find") {
    int node = 0;
    words >> node;
    SetUp(node, verb == "find");
    return "ok";
  }
  if (verb == "calm") {
    Calm();
    return "ok";
  }
  if (verb == "random") {
    uint64_t seed = 0;
    words >> seed;
    random_.emplace(seed);
    for (auto& [name, space] : spaces_) space.kernel.Randomize(random_->Below(UINT32_MAX));
    return "ok";
  }
  std::string name;
  std::string argument;
  std::string last;
  words >> name >> argument >> last;
  if (verb == "stop") {
    Stop(name);
  } else if (verb == "recover") {
    Recover(name);
  } else if (verb == "start") {
    Start(name);
  } else if (verb == "remove") {
    Remove(name);
  } else if (verb == "join") {
    Join(name, std::stoi(argument));
  } else if (verb == "fail") {
    Leave(name, std::stoi(argument), true, true);
  } else if (verb == "vanish") {
    Leave(name, std::stoi(argument), true, false);
  } else if (verb == "leave") {
    Leave(name, std::stoi(argument), false, false);
  } else if (verb == "disconnect") {
    Write(name, "disconnected " + argument);
    files_.RemovePeer(std::stoi(argument));
  } else if (verb == "end") {
    EndDaemon(name);
  } else if (verb == "note") {
    Write(name, "note " + argument);
  } else if (spaces_.count(name) == 0) {
    return "no lockspace for: " + line;
  } else if (verb == "journal") {
    journaled_ = name;
    journal_.Open(files_.root() / "run/journal");
    spaces_[name].kernel.set_journal(&journal_);
  } else if (verb == "rule" && kRules.count(last) != 0) {
    spaces_[name].kernel.SetRule(argument, kRules.at(last));
  } else if (verb == "grant" || verb == "refuse") {
    spaces_[name].kernel.Settle(argument, verb == "grant");
  } else if (verb == "block") {
    spaces_[name].kernel.Block(argument, std::stoi(last));
  } else {
    return "no command: " + line;
  }
  return "ok";
}

// JSON.
std::string Machine::State() const {
  size_t locks = 0;
  size_t waiting = 0;
  int shares = 0;
  std::vector<std::string> faults = faults_;
  for (const auto& [name, space] : spaces_) {
    locks += space.kernel.lock_count();
    waiting += space.kernel.waiting_count();
    shares += space.creators;
    faults.insert(faults.end(), space.kernel.faults().begin(), space.kernel.faults().end());
  }
  std::ostringstream state;
  state << "{\"devices\":" << devices_.size() << ",\"spaces\":" << spaces_.size()
        << ",\"shares\":" << shares << ",\"locks\":" << locks << ",\"waiting\":" << waiting
        << ",\"writes\":" << writes_.size() << ",\"held\":" << held_.size() << ",\"faults\":[";
  const char* separator = "";
  for (const auto& fault : faults) {
    state << separator << '"' << fault << '"';
    separator = ",";
  }
  state << "]}";
  return state.str();
}

}  // namespace stackglue::fake_device
