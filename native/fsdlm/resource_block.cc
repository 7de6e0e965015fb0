// The value block of a resource: what grants and unlocks do to it. See resource.h, and README.md,
// "Value block".
#include <new>

#include "resource.h"

namespace stackglue::fsdlm {

bool Resource::ReserveBlock() {
  if (block_ == nullptr) block_.reset(new (std::nothrow) ResourceBlock);
  return block_ != nullptr;
}

void Resource::Invalidate() {
  not_valid_ = true;
  // Room for what must be kept when the last lock goes; without it, only that is lost.
  (void)ReserveBlock();
}

void Resource::WriteBlock(const LockBlock* from) {
  if (!ReserveBlock()) return;
  block_->bytes = from == nullptr ? ValueBlock{} : from->bytes;
  block_->exists = true;
  ++block_->sequence;
  not_valid_ = false;
}

void Resource::MoveBlock(Lock* lock) {
  const bool asks = (lock->exflags & kLkfValBlk) != 0 && lock->block != nullptr;
  if (lock->block != nullptr) lock->block->sequence_before = lock->block->sequence;
  switch (BlockOperationOf(lock->grmode, lock->rqmode)) {
    case BlockOperation::kRead:
      if (!asks) return;
      if (block_ == nullptr || !block_->exists) {
        // The grant brings the master's copy (set_lvb_lock_pc()).
        if (lock->block->at_master != nullptr) lock->block->bytes = *lock->block->at_master;
        return;
      }
      lock->block->bytes = block_->bytes;
      lock->block->sequence = block_->sequence;
      break;
    case BlockOperation::kWrite:
      if ((lock->exflags & kLkfIvValBlk) != 0) {
        Invalidate();
        return;
      }
      if (!asks) return;
      WriteBlock(lock->block.get());
      // The copy of a node that is not the master is not told the number.
      if (!IsRemote(*lock) && block_ != nullptr) lock->block->sequence = block_->sequence;
      break;
    case BlockOperation::kNone:
      break;
  }
  if (not_valid_) lock->sb_flags |= kSbfValNotValid;
}

void Resource::MoveBlockAtUnlock(Lock* lock) {
  if (lock->grmode < kModePw) return;
  if ((lock->exflags & kLkfIvValBlk) != 0) {
    Invalidate();
    return;
  }
  if ((lock->exflags & kLkfValBlk) == 0) return;
  // A lock that never had a block: its own node writes nothing, a message to the master zeros.
  if (lock->block != nullptr || IsRemote(*lock)) WriteBlock(lock->block.get());
}

}  // namespace stackglue::fsdlm
