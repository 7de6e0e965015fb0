// Nodes with one file of dlmfs on top of the engine. See world.h.
#include "world.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "inspect.h"

namespace stackglue::differential {
namespace {

using o2dlm::Event;
using o2dlm::Status;

constexpr std::string_view kDomain = "dlmfs";
constexpr std::string_view kFile = "file";

// The engine refused what dlmfs never gets refused: the two disagree about the lock's state.
[[noreturn]] void Impossible(const char* what, Status status) {
  std::fprintf(stderr, "o2dlm-checker: %s: status %d\n", what, static_cast<int>(status));
  std::abort();
}

std::string Hex(const o2dlm::ValueBlock& block) {
  size_t length = block.size();
  while (length > 0 && block[length - 1] == 0) --length;
  std::string text;
  for (size_t at = 0; at < length; ++at) {
    std::array<char, 3> digits;
    std::snprintf(digits.data(), digits.size(), "%02x", block[at]);
    text += digits.data();
  }
  return text;
}

}  // namespace

struct World::Node final : Host {
  World* world = nullptr;
  int number = 0;
  int engine_number = 0;
  bool is_alive = true;
  std::unique_ptr<o2dlm::Member> member;
  // The lock that keeps the resource is not in the way of this node's events.
  std::unique_ptr<o2dlm::Member> keeping_member;
  std::optional<DlmfsFile> file;
  o2dlm::LockId lock = 0;
  // An unlock AST is pending, and perhaps a blocking AST before it.
  char pending_unlock = 0;

  void Run(const Task& task) override {
    using What = Task::What;
    const bool is_request =
        task.what == What::kRequest || task.what == What::kDown || task.what == What::kCancel;
    // It goes on until it waits for an answer, so at the master it comes to its end before another
    // one runs.
    const bool goes_on = is_request && member->MasterOf(kFile) == engine_number;
    auto* tasks = &world->tasks_;
    tasks->emplace(goes_on ? tasks->begin() : tasks->end(), this, task);
  }

  int Lock(int level, bool convert, bool tries) override {
    if (!convert) world->Keep(this);
    const uint32_t flags =
        o2dlm::kLkmValBlk | (convert ? o2dlm::kLkmConvert : 0) | (tries ? o2dlm::kLkmNoQueue : 0);
    const Status status = member->Lock(level, flags, kFile, 1, file->block().data(), &lock);
    if (status == Status::kNotQueued) return EAGAIN;
    if (status != Status::kNormal) Impossible("lock", status);
    return 0;
  }

  int Unlock() override {
    const Status status = member->Unlock(lock, o2dlm::kLkmValBlk, file->block().data());
    if (status != Status::kNormal) Impossible("unlock", status);
    pending_unlock = 'u';
    return 0;
  }

  void Cancel() override {
    const auto view = o2dlm::InspectDomain(world->cluster_.get(), kDomain);
    bool told = false;
    if (view) {
      for (const auto& resource : view->resources) {
        for (const auto* queue : {&resource.granted, &resource.converting}) {
          for (const auto& each : *queue) told = told || (each.id == lock && each.bast_pending);
        }
      }
    }
    if (member->Unlock(lock, o2dlm::kLkmCancel, nullptr) == Status::kNormal) {
      pending_unlock = told ? 'b' : 'c';
    }
  }

  std::string NameOf(int handle) const override { return world->NameOf(handle); }

  // An open that does not wait for others may fail, and then wakes nobody.
  bool MayFailSilently() const {
    return std::any_of(world->handles_.begin(), world->handles_.end(), [this](const auto& entry) {
      const Handle& handle = entry.second;
      return handle.node == number && handle.opener.tries && !handle.result;
    });
  }

  const Opener& opener(int handle) override { return world->handles_.at(handle).opener; }

  void Interrupt(int handle) override { world->handles_.at(handle).opener.is_interrupted = true; }

  void Opened(int handle, int result) override {
    world->handles_.at(handle).result = result;
    if (world->guide_ == nullptr) return;
    const auto seen = world->guide_->results.find(handle);
    if (seen == world->guide_->results.end() || seen->second != result) world->abandoned_ = true;
  }

  void Unlinked(int result) override {
    if (result == 0) {
      file.reset();
      auto* tasks = &world->tasks_;
      tasks->erase(std::remove_if(tasks->begin(), tasks->end(),
                                  [this](const auto& entry) { return entry.first == this; }),
                   tasks->end());
    }
    world->unlinks_[number] = result;
    if (world->guide_ == nullptr) return;
    const auto seen = world->guide_->unlinks.find(number);
    if (seen == world->guide_->unlinks.end() || seen->second != result) world->abandoned_ = true;
  }
};

World::World(const std::vector<int>& order, Haste haste, Choices* choices)
    : haste_(haste), choices_(choices), cluster_(o2dlm::Cluster::Create()) {
  cluster_->HoldThread();
  for (size_t index = 0; index < order.size(); ++index) {
    auto node = std::make_unique<Node>();
    node->world = this;
    node->number = order[index];
    node->engine_number = static_cast<int>(index) + 1;
    for (auto* member : {&node->member, &node->keeping_member}) {
      o2dlm::ProtocolVersion version{1, 0};
      if (cluster_->Join(kDomain, node->engine_number, &version, nullptr, member) != 0) {
        Impossible("join", Status::kSysErr);
      }
    }
    nodes_.push_back(std::move(node));
  }
  std::sort(nodes_.begin(), nodes_.end(),
            [](const auto& a, const auto& b) { return a->number < b->number; });
}

World::~World() = default;

World::Node* World::Find(int number) {
  for (const auto& node : nodes_) {
    if (node->number == number && node->is_alive) return node.get();
  }
  std::fprintf(stderr, "o2dlm-checker: node %d is dead\n", number);
  std::abort();
}

bool World::Run(const Step& step, bool guided) {
  guide_ = guided ? &step : nullptr;
  unlinks_.clear();
  std::erase_if(handles_, [](const auto& entry) { return entry.second.result.value_or(0) != 0; });
  const bool races = step.commands.size() > 1;
  for (const Command& command : step.commands) {
    Begin(command, races);
    if (abandoned_) return false;
  }
  for (;;) {
    const std::vector<Possibility> next = Possibilities();
    if (next.empty()) return true;
    Do(next[static_cast<size_t>(Choose(static_cast<int>(next.size())))]);
    if (abandoned_) return false;
  }
}

int World::Choose(int count) {
  if (count < 2 || abandoned_) return 0;
  const std::optional<int> chosen = choices_->Choose(count, *this);
  if (!chosen) abandoned_ = true;
  return chosen.value_or(0);
}

void World::Begin(const Command& command, bool races) {
  using Kind = Command::Kind;
  if (command.kind == Kind::kKill) return Kill(command.node);
  Node* node = Find(command.node);
  if (command.kind == Kind::kUnlink) {
    if (node->file) {
      node->Run({.what = Task::What::kUnlink});
    } else {
      node->Unlinked(ENOENT);
    }
    return;
  }
  if (command.kind == Kind::kOpen) {
    if (!node->file) node->file.emplace();
    const int level = command.writes ? o2dlm::kModeEx : o2dlm::kModePr;
    handles_[command.handle] = {.node = command.node,
                                .opener = {.handle = command.handle,
                                           .level = level,
                                           .tries = command.tries,
                                           .is_interrupted = false},
                                .result = std::nullopt};
    node->Run({.what = Task::What::kOpen, .handle = command.handle});
    return;
  }
  const auto at = handles_.find(command.handle);
  if (at == handles_.end()) return;
  if (command.kind == Kind::kInterrupt) {
    // Alone it comes to nodes at rest, where nothing can be before it.
    if (races) {
      node->Run({.what = Task::What::kSignal, .handle = command.handle});
    } else {
      node->Interrupt(command.handle);
    }
  } else if (command.kind == Kind::kWrite) {
    std::copy(command.bytes.begin(), command.bytes.end(), node->file->block().begin());
  } else {
    const auto level = static_cast<int8_t>(at->second.opener.level);
    handles_.erase(at);
    node->Run({.what = Task::What::kClose, .level = level});
  }
}

void World::Kill(int number) {
  Node* dead = Find(number);
  ReorderWaiters(number);
  dead->is_alive = false;
  dead->lock = 0;
  dead->file.reset();
  std::erase_if(handles_, [number](const auto& entry) { return entry.second.node == number; });
  if (cluster_->KillNode(dead->engine_number) != 0) Impossible("kill", Status::kSysErr);
  if (keeper_ == dead) keeper_ = nullptr;
  Node* heir = nullptr;
  bool is_used = false;
  for (const auto& node : nodes_) {
    if (!node->is_alive) continue;
    Event eviction;
    node->member->TakeEvents(&eviction, 1);
    is_used = is_used || node->lock != 0;
    if (heir == nullptr || node->engine_number < heir->engine_number) heir = node.get();
  }
  if (keeper_ == nullptr && is_used && heir != nullptr) KeepAt(heir);
}

void World::ReorderWaiters(int dead) {
  const auto view = o2dlm::InspectDomain(cluster_.get(), kDomain);
  if (!view || view->resources.empty()) return;
  const o2dlm::ResourceView& resource = view->resources.front();
  if (resource.master != Find(dead)->engine_number) return;
  for (const auto* queue : {&resource.converting, &resource.blocked}) {
    std::vector<o2dlm::LockView> waiting = *queue;
    std::erase_if(waiting, [&](const auto& each) { return each.node == resource.master; });
    if (waiting.size() < 2) continue;
    question_ = 'o';
    const int turned = Choose(2);
    question_ = 0;
    if (turned == 0) continue;
    // The first goes behind the others.
    const o2dlm::LockView& first = waiting.front();
    for (const auto& node : nodes_) {
      if (node->engine_number != first.node) continue;
      const bool converts = queue == &resource.converting;
      Event event;
      if (node->member->Unlock(first.id, o2dlm::kLkmCancel, nullptr) != Status::kNormal) return;
      node->member->TakeEvents(&event, 1);
      const uint32_t flags = o2dlm::kLkmValBlk | (converts ? o2dlm::kLkmConvert : 0);
      const int level = converts ? first.convert_mode : first.mode;
      const Status status =
          node->member->Lock(level, flags, kFile, 1, node->file->block().data(), &node->lock);
      if (status != Status::kNormal) Impossible("lock again", status);
    }
  }
}

std::string World::NameOf(int handle) const {
  const Handle& state = handles_.at(handle);
  if (guide_ == nullptr) return std::to_string(handle);
  const auto seen = guide_->results.find(handle);
  const std::optional<int> result = seen == guide_->results.end() ? std::nullopt : seen->second;
  std::string name(1, static_cast<char>('A' + state.opener.level));
  name += state.opener.tries ? 't' : '-';
  name += state.opener.is_interrupted ? 'i' : '-';
  return name + (result ? std::to_string(*result) : "w");
}

std::string World::NameOf(const Node* node, const Task& task) const {
  std::string name(1, static_cast<char>('0' + node->number));
  name += static_cast<char>('a' + static_cast<int>(task.what));
  name += static_cast<char>('1' + task.level);
  name += task.waits_for_blocked ? 'b' : 'f';
  return task.handle == 0 ? name : name + NameOf(task.handle);
}

void World::RunIdleTasks(bool with_woken) {
  std::vector<std::pair<Node*, Task>> tasks = std::move(tasks_);
  tasks_.clear();
  for (const auto& [node, task] : tasks) {
    const bool is_idle = task.what == Task::What::kUnblock ? node->file->IsIdleUnblock()
                                                           : with_woken && node->file->IsIdle(task);
    if (is_idle) {
      node->file->Perform(node, task);
    } else {
      tasks_.emplace_back(node, task);
    }
  }
}

std::vector<World::Possibility> World::Possibilities() {
  RunIdleTasks(false);
  std::vector<Possibility> found;
  std::vector<std::string> names;
  for (const auto& [node, task] : tasks_) {
    // Whoever was woken and cannot go on yet is woken again when he can, but after a silent
    // failure.
    if (node->file->IsIdle(task) && !node->MayFailSilently()) continue;
    std::string name = NameOf(node, task);
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    names.push_back(std::move(name));
    found.push_back({node, task});
  }
  const auto tasks = static_cast<std::ptrdiff_t>(found.size());
  for (const auto& node : nodes_) {
    if (node->is_alive && o2dlm::HasEvents(node->member.get())) {
      found.push_back({.node = node.get(), .task = std::nullopt});
    }
  }
  if (haste_ == Haste::kEvents) std::rotate(found.begin(), found.begin() + tasks, found.end());
  if (cluster_->thread_is_due()) {
    found.insert(haste_ == Haste::kThread ? found.begin() : found.end(), Possibility());
  }
  if (found.empty()) RunIdleTasks(true);
  return found;
}

void World::Do(const Possibility& possibility) {
  if (abandoned_) return;
  const auto& [node, task] = possibility;
  if (node == nullptr) return cluster_->RunThread();
  if (!task) return TakeEvent(node);
  tasks_.erase(std::find(tasks_.begin(), tasks_.end(), std::pair(node, *task)));
  if (node->file) node->file->Perform(node, *task);
}

void World::TakeEvent(Node* node) {
  Event event;
  if (node->member->TakeEvents(&event, 1) == 0) return;
  if (event.final) node->lock = 0;
  if (event.has_lvb) node->file->block() = event.lvb;
  switch (event.kind) {
    case Event::Kind::kLockAst:
      return node->file->LockAst(node);
    case Event::Kind::kBlockingAst:
      if (node->pending_unlock == 'b') node->pending_unlock = 'c';
      return node->file->BlockingAst(node, event.value);
    case Event::Kind::kUnlockAst:
      node->pending_unlock = 0;
      // o2dlm_unlock_ast_wrapper() keeps it to itself.
      if (event.value != static_cast<int>(Status::kCancelGrant)) node->file->UnlockAst(node);
      return;
    case Event::Kind::kNodeLeft:
    case Event::Kind::kNodeJoined:
    case Event::Kind::kEviction:
      return;
  }
}

void World::Keep(Node* node) {
  if (keeper_ != nullptr) {
    const bool is_used =
        std::any_of(nodes_.begin(), nodes_.end(), [](const auto& each) { return each->lock != 0; });
    if (is_used) return;
    question_ = static_cast<char>('0' + node->number);
    const int forgets = Choose(2);
    question_ = 0;
    if (forgets == 0) return;
    if (keeper_->keeping_member->Unlock(keeper_lock_, 0, nullptr) != Status::kNormal) {
      Impossible("forget", Status::kDenied);
    }
    Event event;
    while (keeper_->keeping_member->TakeEvents(&event, 1) > 0) {
    }
  }
  KeepAt(node);
}

void World::KeepAt(Node* node) {
  keeper_ = node;
  keeper_lock_ = 0;
  const Status status =
      node->keeping_member->Lock(o2dlm::kModeNl, 0, kFile, 2, nullptr, &keeper_lock_);
  if (status != Status::kNormal) Impossible("keep", status);
  Event event;
  while (node->keeping_member->TakeEvents(&event, 1) > 0) {
  }
}

std::string World::Observe() const {
  std::vector<std::string> lines;
  for (const auto& [number, handle] : handles_) {
    std::string line = "h" + std::to_string(number) + "@" + std::to_string(handle.node) + " ";
    if (!handle.result) {
      line += "waits";
    } else if (*handle.result != 0) {
      line += "failed with " + std::to_string(*handle.result);
    } else {
      for (const auto& node : nodes_) {
        if (node->number != handle.node || !node->file) continue;
        if (node->file->is_blocked()) line += "blocks others, ";
        line += "block \"" + Hex(node->file->block()) + "\"";
      }
    }
    lines.push_back(std::move(line));
  }
  for (const auto& [node, result] : unlinks_) {
    lines.push_back("unlink@" + std::to_string(node) + " " + std::to_string(result));
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) {
    if (!text.empty()) text += '\n';
    text += line;
  }
  return text;
}

std::string World::State() const {
  std::string state(1, question_);
  for (const auto& node : nodes_) {
    if (!node->is_alive) continue;
    state += '|';
    if (node->pending_unlock != 0) state += node->pending_unlock;
    if (!node->file) continue;
    node->file->AppendState(*node, &state);
    // Before its first AST it has nobody's block but the lock manager's.
    if (node->file->is_attached()) state += Hex(node->file->block());
  }
  std::vector<std::string> tasks;
  for (const auto& [node, task] : tasks_) tasks.push_back(NameOf(node, task));
  std::sort(tasks.begin(), tasks.end());
  for (const std::string& task : tasks) state += task + ',';
  std::vector<std::string> handles;
  for (const auto& [number, handle] : handles_) {
    std::string& text = handles.emplace_back(1, static_cast<char>('0' + handle.node));
    text += NameOf(number);
    if (handle.result) text += '=' + std::to_string(*handle.result);
  }
  std::sort(handles.begin(), handles.end());
  for (const std::string& handle : handles) state += handle;
  for (const auto& [node, result] : unlinks_) {
    state += 'u' + std::to_string(node) + ':' + std::to_string(result);
  }
  if (keeper_ != nullptr) state += 'k' + std::to_string(keeper_->number);
  if (cluster_->thread_is_due()) state += 't';
  const auto view = o2dlm::InspectDomain(cluster_.get(), kDomain);
  if (!view) return state;
  for (const auto& resource : view->resources) {
    state += 'm' + std::to_string(resource.master) + Hex(resource.lvb);
    std::vector<std::string> granted;
    for (const auto* queue : {&resource.granted, &resource.converting, &resource.blocked}) {
      std::vector<std::string> locks;
      for (const auto& lock : *queue) {
        if (lock.astarg != 1) continue;
        std::string& text = locks.emplace_back();
        for (const int part : {lock.node, lock.mode, lock.convert_mode, lock.highest_blocked,
                               lock.ast_pending ? 1 : 0, lock.bast_pending ? 1 : 0}) {
          text += static_cast<char>('1' + part);
        }
      }
      // The order of those that are granted is of no matter.
      if (queue == &resource.granted) std::sort(locks.begin(), locks.end());
      state += '/';
      for (const std::string& lock : locks) state += lock;
    }
  }
  return state;
}

}  // namespace stackglue::differential
