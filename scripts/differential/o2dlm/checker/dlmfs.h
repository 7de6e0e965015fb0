// A file of dlmfs on one node: what fs/ocfs2/dlmfs/userdlm.c does between the opens of processes
// and the lock manager, with the same states and the same order of steps.
//
// Nothing here runs by itself. Whatever a task of the kernel would do is handed to Host::Run(), who
// calls Perform() when it likes; a task ends where the kernel's could be overtaken by another one:
// before a request goes out, and where a process waits.
#ifndef STACKGLUE_SCRIPTS_CONFORMANCE_O2DLM_CHECKER_DLMFS_H_
#define STACKGLUE_SCRIPTS_CONFORMANCE_O2DLM_CHECKER_DLMFS_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "o2dlm.h"

namespace stackglue::differential {

struct Task {
  enum class What : uint8_t {
    kOpen,      // a process enters open(2)
    kRequest,   // its request goes to the lock manager; `level`
    kOpener,    // it was woken on l_event
    kClose,     // of a handle that was open at `level`
    kUnlink,    // unlink(2) begins
    kUnlinker,  // it was woken before it asked for the unlock
    kUnlinked,  // it was woken after that
    kUnblock,   // user_dlm_unblock_lock()
    kCancel,    // its cancel goes to the lock manager
    kDown,      // its conversion down to `level` goes there
    kSignal,    // a signal comes to a process in open(2)
  };
  What what = What::kOpen;
  int8_t level = 0;
  bool waits_for_blocked = false;  // woken: it slept until `blocked` was false, else `busy`
  int handle = 0;

  friend auto operator<=>(const Task&, const Task&) = default;
};

// A process inside open(2).
struct Opener {
  int handle = 0;
  int level = 0;
  bool tries = false;
  bool is_interrupted = false;
};

class Host {
 public:
  // Lets a task run later.
  virtual void Run(const Task& task) = 0;
  // ocfs2_dlm_lock(), ocfs2_dlm_unlock(): 0 or an errno. `convert`: the file has a lock.
  virtual int Lock(int level, bool convert, bool tries) = 0;
  virtual int Unlock() = 0;
  virtual void Cancel() = 0;
  virtual const Opener& opener(int handle) = 0;
  // The process is still in open(2), and has a signal to see to from now on.
  virtual void Interrupt(int handle) = 0;
  // Equal for handles that may be taken for each other, in a state.
  virtual std::string NameOf(int handle) const = 0;
  // An open, or the unlink, has ended, with 0 or an errno.
  virtual void Opened(int handle, int result) = 0;
  virtual void Unlinked(int result) = 0;

 protected:
  ~Host() = default;
};

class DlmfsFile {
 public:
  void Perform(Host* host, const Task& task);
  // user_ast(), user_bast(), user_unlock_ast(). A cancel that came too late does not get to the
  // last: stack o2cb keeps it.
  void LockAst(Host* host);
  void BlockingAst(Host* host, int level);
  void UnlockAst(Host* host);

  // What poll(2) says.
  bool is_blocked() const { return is_blocked_; }
  bool is_attached() const { return is_attached_; }
  // l_level; -1 without a lock.
  int level() const { return level_; }
  // The node's own copy of the value block, in the lock status block.
  o2dlm::ValueBlock& block() { return block_; }
  // The task would change nothing now: who was woken would sleep again.
  bool IsIdle(const Task& task) const;
  // The same for a kUnblock that, if it came later, would do what one queued then would do.
  bool IsIdleUnblock() const;
  // All that its future depends on, the block apart.
  void AppendState(const Host& host, std::string* state) const;

 private:
  void Open(Host* host, int handle);
  void Request(Host* host, int handle);
  void Close(Host* host, int level);
  void Unlink(Host* host);
  void GoOnUnlinking(Host* host);
  void Unblock(Host* host);
  void Fail(Host* host, int handle, int error);
  // Whether what is open here is in the way of who waits.
  bool HoldsUp() const;
  // __user_dlm_queue_lockres()
  void Queue(Host* host);
  // wait_event(): goes on at once if nothing holds it up, and else when it is woken and nothing
  // does.
  void Sleep(Host* host, const Task& when_woken);
  void Wake(Host* host);

  int8_t level_ = -1;
  int8_t requested_ = -1;
  int8_t blocking_ = -1;
  int16_t writers_ = 0;
  int16_t readers_ = 0;
  // USER_LOCK_ATTACHED and so on.
  bool is_attached_ = false;
  bool is_busy_ = false;
  bool is_blocked_ = false;
  bool is_in_teardown_ = false;
  bool is_queued_ = false;
  bool is_in_cancel_ = false;
  // Who sleeps on l_event.
  std::vector<Task> sleepers_;
  o2dlm::ValueBlock block_{};
};

}  // namespace stackglue::differential

#endif  // STACKGLUE_SCRIPTS_CONFORMANCE_O2DLM_CHECKER_DLMFS_H_
