// The kernel, for tests of the book: sees each order, and answers it when the test says so. One
// connection, whose locks share one status block.
#ifndef STACKGLUE_TEST_USER_BOOK_KERNEL_H_
#define STACKGLUE_TEST_USER_BOOK_KERNEL_H_

#include <linux/dlm.h>
#include <linux/dlmconstants.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "user/lock_book.h"

namespace stackglue::user::test {

inline constexpr int kNl = DLM_LOCK_NL;
inline constexpr int kCr = DLM_LOCK_CR;
inline constexpr int kPr = DLM_LOCK_PR;
inline constexpr int kPw = DLM_LOCK_PW;
inline constexpr int kEx = DLM_LOCK_EX;

inline std::string ModeName(int mode) {
  const char* names[] = {"NL", "CR", "CW", "PR", "PW", "EX"};
  return names[mode];
}

inline std::string FlagNames(uint32_t flags) {
  static constexpr struct {
    uint32_t flag;
    const char* name;
  } kNames[] = {{DLM_LKF_NOQUEUE, "NOQUEUE"},
                {DLM_LKF_CANCEL, "CANCEL"},
                {DLM_LKF_CONVERT, "CONVERT"},
                {DLM_LKF_VALBLK, "VALBLK"},
                {DLM_LKF_QUECVT, "QUECVT"},
                {DLM_LKF_EXPEDITE, "EXPEDITE"},
                {DLM_LKF_PERSISTENT, "PERSISTENT"},
                {DLM_LKF_NOQUEUEBAST, "NOQUEUEBAST"},
                {DLM_LKF_NODLCKWT, "NODLCKWT"},
                {DLM_LKF_NOORDER, "NOORDER"},
                {DLM_LKF_ORPHAN, "ORPHAN"},
                {DLM_LKF_ALTPR, "ALTPR"},
                {DLM_LKF_ALTCW, "ALTCW"}};
  std::string text;
  for (const auto& [flag, name] : kNames) {
    if ((flags & flag) != 0) text += std::string(" ") + name;
  }
  return text;
}

// Stands still until it is set.
class SetClock final : public order::Clock {
 public:
  int64_t NowMs() const override { return now_ms; }
  int64_t now_ms = 1000;
};

// One connection, and what the kernel would be given by it.
class Kernel : public LockBook::Carrier {
 public:
  void Put(const Order& order) override {
    if (fails_after-- == 0) throw std::bad_alloc();
    orders_.push_back(order);
    names_.emplace_back(order.name);
    orders_.back().name = {};
    orders_.back().lvb = nullptr;
  }

  // What has been put since the last look: "lock NL EXPEDITE", "convert EX NOQUEUE", "unlock", ...
  std::vector<std::string> Looked() {
    std::vector<std::string> texts;
    for (; looked_ < orders_.size(); ++looked_) {
      const Order& order = orders_[looked_];
      switch (order.operation) {
        case Operation::kLock:
          texts.push_back("lock " + ModeName(order.mode) + FlagNames(order.flags));
          break;
        case Operation::kAdopt:
          texts.push_back("adopt " + ModeName(order.mode) + FlagNames(order.flags));
          break;
        case Operation::kConvert:
          texts.push_back("convert " + ModeName(order.mode) +
                          FlagNames(order.flags & ~DLM_LKF_CONVERT) +
                          (order.after_lost_cancel ? " after cancel" : ""));
          break;
        default:
          texts.push_back((order.operation == Operation::kCancel ? "cancel" : "unlock") +
                          std::string(order.after_lost_cancel ? " after cancel" : ""));
      }
    }
    return texts;
  }

  // The result of the order of this number, from 0. True: the program is told something.
  bool Result(size_t order, int status, uint32_t sb_flags = 0, const uint8_t* lvb = nullptr) {
    user::Result result;
    result.cookie = orders_.at(order).cookie;
    result.status = status;
    result.lock_id = 100 + result.cookie.index;
    result.sb_flags = sb_flags;
    result.lvb = lvb;
    book.BeginBatch();
    const bool told = book.HandleResult(result, &event);
    book.ReleaseEnded();
    return told;
  }

  // The call for that order is refused.
  bool Refuse(size_t order, int status) {
    user::Answer answer{};
    answer.cookie = orders_.at(order).cookie;
    answer.operation = orders_.at(order).operation;
    answer.status = status;
    book.BeginBatch();
    const bool told = book.HandleAnswer(answer, &event);
    book.ReleaseEnded();
    return told;
  }

  int64_t Lock(int mode, uint32_t flags, std::string_view name = "name") {
    return book.Lock(mode, flags, 0, name);
  }

  // All that has been put, but for what it points to; the name of a new lock is beside it.
  const std::vector<Order>& orders() const { return orders_; }
  const std::string& name_of(size_t order) const { return names_.at(order); }

  // What the program was told last.
  int status() const { return event.value; }
  uint32_t flags() const { return event.flags; }
  int mode() const { return event.mode; }
  uint8_t first_of_block() const { return event.has_block != 0 ? event.block[0] : 0; }

  SetClock clock;
  LockBook book{this, &clock};
  EventRecord event;
  int fails_after = -1;

 private:
  std::vector<Order> orders_;
  std::vector<std::string> names_;
  size_t looked_ = 0;
};

inline constexpr std::array<uint8_t, kLvbLen> kNoBlock{};

using Texts = std::vector<std::string>;

inline const std::string kProbe = "lock NL EXPEDITE NODLCKWT";

}  // namespace stackglue::user::test

#endif  // STACKGLUE_TEST_USER_BOOK_KERNEL_H_
