// What a request for a lock is to fs/dlm, and what comes back, whoever takes it to whichever DLM.
//
// All of it may lie in memory that two processes share: no pointers but where it is said.
//
// Threads: plain values.
#ifndef STACKGLUE_NATIVE_USER_REQUEST_H_
#define STACKGLUE_NATIVE_USER_REQUEST_H_

#include <linux/dlm_device.h>

#include <cstddef>
#include <cstdint>

namespace stackglue::user {

// DLM_USER_LVB_LEN, bytes.
inline constexpr size_t kLvbLen = DLM_USER_LVB_LEN;
// DLM_RESNAME_MAXLEN, bytes.
inline constexpr size_t kResourceNameMax = 64;

// Comes back with every result of a lock: which lock it is, and which use of that place.
struct Cookie {
  uint32_t index = 0;
  uint32_t generation = 0;
};

// What a request asks for; decides what is done with the answer.
enum class Operation : uint8_t {
  kNone,
  kLock,     // refused: no lock; accepted: its id is the answer
  kAdopt,    // a lock that is granted in the call itself: the answer is its only completion
  kConvert,  // refused: the lock is as it was
  kUnlock,   // refused: the lock is as it was
  kCancel,   // a cancel, or a deadlock cancel: what it does shows in the operation that it is for
  kPurge,    // the answer is its only completion
};

// A refusal, or what kAdopt and kPurge came to.
struct Answer {
  Cookie cookie;
  Operation operation;
  int32_t status;
  // For kAdopt that succeeded.
  uint32_t lock_id;
};

// One result: a completion AST, or a blocking AST.
struct Result {
  Cookie cookie;
  bool blocking = false;
  // The mode that is blocked; only for a blocking AST.
  int blocked_mode = 0;
  // The DLM's own status: 0 or negative; only for a completion.
  int status = 0;
  uint32_t lock_id = 0;
  uint32_t sb_flags = 0;
  // kLvbLen bytes inside what it was read from, or null.
  const uint8_t* lvb = nullptr;
};

}  // namespace stackglue::user

#endif  // STACKGLUE_NATIVE_USER_REQUEST_H_
