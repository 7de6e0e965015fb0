// A clock that a test sets.
#ifndef STACKGLUE_TEST_ORDER_SET_CLOCK_H_
#define STACKGLUE_TEST_ORDER_SET_CLOCK_H_

#include "order/clock.h"

namespace stackglue::order::test {

class SetClock final : public Clock {
 public:
  int64_t NowMs() const override { return now_ms; }
  int64_t now_ms = 1000;
};

}  // namespace stackglue::order::test

#endif  // STACKGLUE_TEST_ORDER_SET_CLOCK_H_
