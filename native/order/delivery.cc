#include "order/delivery.h"

#include <utility>

namespace stackglue::order {

bool Delivery::Turn() {
  delivered_ = 0;
  rounds_ = 0;
  if (has_ended_) return false;
  source_->BeginTurn();
  Gather();
  Tell();
  // Then the source may be gone.
  if (has_ended_) return false;
  source_->EndTurn();
  return delivered_ >= limits_.events;
}

void Delivery::Gather() {
  if (has_ended_) return;
  if (collected_ > 0 || order_->HoldsResults() || order_->is_lost()) {
    source_->Look();
  } else {
    collected_ = source_->Collect(batch_);
  }
}

void Delivery::Tell() {
  Notice notice;
  while (!has_ended_) {
    while (!has_ended_ && order_->TakeNotice(&notice)) listener_->TellNotice(notice);
    if (has_ended_ || order_->HoldsResults()) return;
    if (collected_ == 0 && order_->is_lost()) collected_ = source_->CollectLost(batch_);
    if (collected_ == 0) {
      if (order_->TakeLoss(&notice)) listener_->TellNotice(notice);
      return;
    }
    TellBatch();
    if (!has_ended_ && collected_ == 0 && limits_.looks_again && !IsTurnOver()) Gather();
  }
}

void Delivery::TellBatch() {
  const size_t count = std::exchange(collected_, 0);
  delivered_ += count;
  source_->BeginTelling();
  is_in_task_ = true;
  listener_->TellResults(count);
  is_in_task_ = false;
  if (has_ended_) return;
  // What More() has gathered is still to be told, and its locks keep their indexes until then.
  if (collected_ == 0) source_->Release();
  source_->EndTelling();
}

size_t Delivery::More() {
  if (!MayBeMore()) return 0;
  size_t count = 0;
  ++rounds_;
  if (!IsTurnOver() && !order_->ComesFirst()) {
    source_->Release();
    source_->EndTelling();
    if (source_->IsWorthMore()) count = source_->Collect(batch_);
    source_->BeginTelling();
    if (order_->ComesFirst()) collected_ = std::exchange(count, 0);
  }
  delivered_ += count;
  return count;
}

}  // namespace stackglue::order
