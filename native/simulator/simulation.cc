// A cluster in virtual time. See simulation.h.
#include "simulator/simulation.h"

#include <cerrno>
#include <cstdio>

namespace stackglue::simulator {
namespace {

std::string ModeName(int64_t mode) {
  const char* names[] = {"NL", "CR", "CW", "PR", "PW", "EX"};
  return mode < 0 || mode > 5 ? "mode " + std::to_string(mode) : names[mode];
}

// Names are any bytes; a history is text.
std::string Quoted(std::string_view name) {
  std::string text = "\"";
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x1f && byte < 0x7f && c != '"' && c != '\\') {
      text += c;
      continue;
    }
    char escaped[5];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    text += escaped;
  }
  return text + "\"";
}

std::string Hex(const std::vector<uint8_t>& bytes) {
  // Trailing zeros say nothing: a block has a fixed size.
  size_t size = bytes.size();
  while (size > 0 && bytes[size - 1] == 0) --size;
  std::string text;
  for (size_t i = 0; i < size; ++i) {
    char hex[3];
    std::snprintf(hex, sizeof hex, "%02x", bytes[i]);
    text += hex;
  }
  return text.empty() ? "0" : text;
}

std::string Describe(const Request& request) {
  std::string text = request.kind == Request::Kind::kLock      ? "lock "
                     : request.kind == Request::Kind::kConvert ? "convert "
                                                               : "unlock ";
  text += std::to_string(request.lock);
  if (request.kind == Request::Kind::kLock) text += " " + Quoted(request.resource);
  if (request.kind != Request::Kind::kUnlock) text += " " + ModeName(request.mode);
  if (request.flags != 0) {
    char flags[16];
    std::snprintf(flags, sizeof flags, " 0x%x", request.flags);
    text += flags;
  }
  if (!request.block.empty()) text += " block " + Hex(request.block);
  return text;
}

}  // namespace

std::unique_ptr<Simulation> Simulation::Create(const Options& options) {
  std::unique_ptr<Simulation> simulation(new Simulation(options));
  simulation->engine_ = Engine::Create(options.profile, simulation.get());
  return simulation->engine_ == nullptr ? nullptr : std::move(simulation);
}

void Simulation::Note(int node, const std::string& what) {
  char time[32];
  std::snprintf(time, sizeof time, "%llu.%06llu",
                static_cast<unsigned long long>(now_us() / 1'000'000),
                static_cast<unsigned long long>(now_us() % 1'000'000));
  history_ += std::string(time) + " n" + std::to_string(node) + " " + what + "\n";
}

bool Simulation::running(int node) const {
  const auto at = nodes_.find(node);
  return at != nodes_.end() && at->second.running;
}

int Simulation::Start(int node) {
  Node& state = nodes_[node];
  if (state.running || state.member) return -EEXIST;
  const int status = engine_->Join(node);
  if (status != 0) return status;
  const uint64_t life = state.life + 1;
  state = {};
  state.life = life;
  state.running = true;
  state.member = true;
  Note(node, "starts");
  PlanDeliveries();
  return 0;
}

void Simulation::SendOut(int node, Scheduler::Task task) {
  Node& state = nodes_.at(node);
  scheduler_.Send(&state.out_us, [this, node, life = state.life, task = std::move(task)] {
    Node& now = nodes_.at(node);
    if (now.life != life || !now.member) return;
    if (now.cut_off) {
      now.held_out.push_back(task);
    } else {
      task();
    }
  });
}

void Simulation::SendIn(int node, Scheduler::Task task) {
  Node& state = nodes_.at(node);
  scheduler_.Send(&state.in_us, [this, node, life = state.life, task = std::move(task)] {
    Node& now = nodes_.at(node);
    if (now.life != life || !now.running) return;
    if (now.cut_off || now.paused) {
      now.held_in.push_back(task);
    } else {
      task();
    }
  });
}

void Simulation::Submit(const Request& request) {
  if (!running(request.node)) return;
  Node& state = nodes_.at(request.node);
  if (state.paused) {
    state.held_requests.push_back(request);
    return;
  }
  Note(request.node, Describe(request));
  SendOut(request.node, [this, request] { Arrive(request); });
}

void Simulation::Arrive(const Request& request) {
  const int64_t status = engine_->Call(request);
  if (status != 0) {
    SendIn(request.node, [this, request, status] {
      Note(request.node,
           "refused " + std::to_string(request.lock) + " " + engine_->RefusalText(status));
      if (on_refusal_) on_refusal_(request, status);
    });
  }
  PlanDeliveries();
}

void Simulation::PlanDeliveries() {
  for (const auto& [node, state] : nodes_) {
    if (state.running && state.member) PlanDelivery(node);
  }
}

void Simulation::PlanDelivery(int node) {
  Node& state = nodes_.at(node);
  if (state.delivery_planned) return;
  state.delivery_planned = true;
  SendIn(node, [this, node] { Deliver(node); });
}

void Simulation::Deliver(int node) {
  nodes_.at(node).delivery_planned = false;
  Event event;
  if (!engine_->Take(node, &event)) return;
  // One at a time, so that others may come in between.
  PlanDelivery(node);
  const std::string lock = std::to_string(event.lock);
  switch (event.kind) {
    case Event::Kind::kNodeDown:
      Note(node, "hears that n" + std::to_string(event.value) + " died");
      break;
    case Event::Kind::kBlocking:
      Note(node, "blocks " + lock + " " + ModeName(event.value));
      break;
    case Event::Kind::kCompletion:
    case Event::Kind::kUnlock:
      Note(node, "ast " + lock + " " + engine_->StatusText(event) +
                     (event.has_block ? " block " + Hex(event.block) : "") +
                     (event.final ? " end" : ""));
      break;
  }
  if (on_event_) on_event_(event);
}

void Simulation::StartSilence(int node) {
  const uint64_t life = nodes_.at(node).life;
  const uint64_t silence = ++nodes_.at(node).silence;
  scheduler_.After(options_.detect_us, [this, node, life, silence] {
    const Node& state = nodes_.at(node);
    if (state.life == life && state.silence == silence && state.member) Declare(node);
  });
}

void Simulation::Declare(int node) {
  Node& state = nodes_.at(node);
  // Whoever is taken for dead is made so: what it holds will be given to others.
  Note(node, state.running ? "is fenced" : "is dead");
  state.running = false;
  state.member = false;
  (void)engine_->Kill(node);
  engine_->Leave(node);
  PlanDeliveries();
}

void Simulation::Kill(int node) {
  if (!running(node)) return;
  Node& state = nodes_.at(node);
  Note(node, "is killed");
  state.running = false;
  // What a cut had kept from leaving is lost.
  state.held_out.clear();
  StartSilence(node);
}

void Simulation::Partition(int node) {
  if (!running(node) || nodes_.at(node).cut_off) return;
  Note(node, "is cut off");
  nodes_.at(node).cut_off = true;
  StartSilence(node);
}

void Simulation::Heal(int node) {
  if (!running(node) || !nodes_.at(node).cut_off) return;
  Note(node, "is healed");
  Node& state = nodes_.at(node);
  state.cut_off = false;
  ++state.silence;
  for (Scheduler::Task& task : std::exchange(state.held_out, {})) SendOut(node, std::move(task));
  for (Scheduler::Task& task : std::exchange(state.held_in, {})) SendIn(node, std::move(task));
}

void Simulation::Pause(int node) {
  if (!running(node) || nodes_.at(node).paused) return;
  Note(node, "pauses");
  nodes_.at(node).paused = true;
}

void Simulation::Resume(int node) {
  if (!running(node) || !nodes_.at(node).paused) return;
  Note(node, "goes on");
  Node& state = nodes_.at(node);
  state.paused = false;
  for (Scheduler::Task& task : std::exchange(state.held_in, {})) SendIn(node, std::move(task));
  for (const Request& request : std::exchange(state.held_requests, {})) Submit(request);
}

void Simulation::After(uint64_t delay_us, std::function<void()> task) {
  scheduler_.After(delay_us, std::move(task));
}

bool Simulation::Run(size_t max_steps) {
  for (size_t i = 0; i < max_steps; ++i) {
    if (!Step()) return true;
  }
  return scheduler_.idle();
}

}  // namespace stackglue::simulator
