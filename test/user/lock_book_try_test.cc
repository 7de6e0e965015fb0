// Which requests reach fs/dlm for a new lock with NOQUEUE, and what the program is told of it. The
// test is the kernel: it sees each order, and answers it.
#include <doctest/doctest.h>
#include <linux/dlm.h>
#include <linux/dlmconstants.h>

#include <array>
#include <cerrno>
#include <new>

#include "book_kernel.h"

namespace stackglue::user::test {

TEST_CASE("NOQUEUE: EX is asked for as NL, and then as a conversion") {
  Kernel kernel;
  const int64_t index = kernel.Lock(kEx, DLM_LKF_NOQUEUE | DLM_LKF_VALBLK);
  CHECK(kernel.Looked() == Texts{"lock NL EXPEDITE"});
  CHECK(!kernel.Result(0, 0));
  CHECK(kernel.Looked() == Texts{"convert EX NOQUEUE VALBLK QUECVT"});
  std::array<uint8_t, kLvbLen> block{};
  block.fill(7);
  CHECK(kernel.Result(1, 0, 0, block.data()));
  CHECK(kernel.Looked() == Texts{});
  CHECK(kernel.event.kind == EventKind::kCompletion);
  CHECK(kernel.event.index == index);
  CHECK(kernel.event.final == 0);
  CHECK(kernel.status() == 0);
  CHECK(kernel.first_of_block() == 7);
  CHECK(kernel.book.results_due() == 0);
  // It is a lock like any other from now on.
  CHECK(kernel.book.Unlock(static_cast<uint32_t>(index), DLM_LKF_VALBLK, kNoBlock.data()) == 0);
  CHECK(kernel.Looked() == Texts{"unlock"});
}

TEST_CASE("NOQUEUE: a refusal is told when nothing of the request is left") {
  Kernel kernel;
  kernel.Lock(kEx, DLM_LKF_NOQUEUE);
  CHECK(!kernel.Result(0, 0));
  CHECK(!kernel.Result(1, -EAGAIN));
  CHECK(kernel.Looked() == Texts{"lock NL EXPEDITE", "convert EX NOQUEUE QUECVT", "unlock"});
  CHECK(kernel.Result(2, -DLM_EUNLOCK));
  CHECK(kernel.event.kind == EventKind::kCompletion);
  CHECK(kernel.event.final == 1);
  CHECK(kernel.status() == -EAGAIN);
  CHECK(kernel.flags() == 0);
  CHECK(kernel.book.results_due() == 0);
}

TEST_CASE("NOQUEUE: below EX those who wait are minded: NL without EXPEDITE, and a cancel of it") {
  for (const int mode : {kCr, kPr, kPw}) {
    Kernel kernel;
    kernel.Lock(mode, DLM_LKF_NOQUEUE | DLM_LKF_NOQUEUEBAST);
    CHECK(kernel.Looked() == Texts{"lock NL", kProbe});
    CHECK(!kernel.Result(1, 0));
    // In this order, so that the lock asked for first is gone when the refusal is told.
    CHECK(kernel.Looked() == Texts{"unlock", "cancel"});
    CHECK(!kernel.Result(2, -DLM_EUNLOCK));
    CHECK(kernel.Result(0, -DLM_ECANCEL));
    CHECK(kernel.Looked() == Texts{});
    CHECK(kernel.event.final == 1);
    CHECK(kernel.status() == -EAGAIN);
    CHECK(kernel.flags() == 0);
    CHECK(kernel.book.results_due() == 0);
  }
}

TEST_CASE("NOQUEUE: where nobody waits nothing is cancelled") {
  Kernel kernel;
  kernel.Lock(kPr, DLM_LKF_NOQUEUE);
  CHECK(kernel.Looked() == Texts{"lock NL", kProbe});
  CHECK(!kernel.Result(0, 0));
  CHECK(kernel.Looked() == Texts{});
  CHECK(!kernel.Result(1, 0));
  // In this order, so that the probe is gone when the grant is told.
  CHECK(kernel.Looked() == Texts{"unlock", "convert PR NOQUEUE QUECVT"});
  CHECK(!kernel.Result(2, -DLM_EUNLOCK));
  CHECK(kernel.Result(3, 0));
  CHECK(kernel.status() == 0);
  CHECK(kernel.event.final == 0);
}

TEST_CASE(
    "NOQUEUE: a cancel that comes too late does not refuse what nobody stands in the way of") {
  Kernel kernel;
  kernel.Lock(kPr, DLM_LKF_NOQUEUE);
  CHECK(!kernel.Result(1, 0));
  CHECK(kernel.Looked() == Texts{"lock NL", kProbe, "unlock", "cancel"});
  CHECK(!kernel.Result(0, 0));
  CHECK(kernel.Looked() == Texts{"convert PR NOQUEUE QUECVT after cancel"});
  CHECK(kernel.Result(4, 0));
  CHECK(kernel.status() == 0);
}

TEST_CASE("NOQUEUE: NL is asked for like the others, so that nothing else is left of it") {
  Kernel kernel;
  kernel.Lock(kNl, DLM_LKF_NOQUEUE | DLM_LKF_VALBLK | DLM_LKF_PERSISTENT);
  CHECK(kernel.Looked() == Texts{"lock NL", kProbe});
  CHECK(!kernel.Result(0, 0));
  CHECK(!kernel.Result(1, 0));
  CHECK(kernel.Looked() == Texts{"unlock", "convert NL NOQUEUE VALBLK PERSISTENT"});
  CHECK(kernel.Result(3, 0));
  CHECK(kernel.status() == 0);
}

TEST_CASE("NOQUEUE: with NOORDER nobody is minded, and none of the steps waits") {
  Kernel kernel;
  kernel.Lock(kPr, DLM_LKF_NOQUEUE | DLM_LKF_NOORDER);
  CHECK(!kernel.Result(0, 0));
  CHECK(kernel.Looked() == Texts{"lock NL EXPEDITE", "convert PR NOQUEUE NOORDER"});
}

TEST_CASE("NOQUEUE: an alternative is tried when what was wanted is refused") {
  Kernel kernel;
  const int64_t index = kernel.Lock(kEx, DLM_LKF_NOQUEUE | DLM_LKF_ALTPR);
  CHECK(kernel.Looked() == Texts{"lock NL", kProbe});
  CHECK(!kernel.Result(0, 0));
  CHECK(!kernel.Result(1, 0));
  CHECK(!kernel.Result(3, -EAGAIN));
  CHECK(kernel.Looked() ==
        Texts{"unlock", "convert EX NOQUEUE QUECVT", "convert PR NOQUEUE QUECVT"});
  CHECK(kernel.Result(4, 0));
  CHECK(kernel.status() == 0);
  CHECK(kernel.flags() == DLM_SBF_ALTMODE);
  // It is known to have PR: a conversion that is queued goes up from there.
  CHECK(kernel.book.Convert(static_cast<uint32_t>(index), kPr, DLM_LKF_QUECVT, 0,
                            kNoBlock.data()) == -EINVAL);
  CHECK(kernel.book.Convert(static_cast<uint32_t>(index), kPw, DLM_LKF_QUECVT, 0,
                            kNoBlock.data()) == 0);

  Kernel refused;
  refused.Lock(kEx, DLM_LKF_NOQUEUE | DLM_LKF_ALTCW);
  CHECK(!refused.Result(0, 0));
  CHECK(!refused.Result(1, 0));
  CHECK(!refused.Result(3, -EAGAIN));
  CHECK(!refused.Result(4, -EAGAIN));
  CHECK(refused.Looked() == Texts{"lock NL", kProbe, "unlock", "convert EX NOQUEUE QUECVT",
                                  "convert CW NOQUEUE QUECVT", "unlock"});
  CHECK(refused.Result(5, -DLM_EUNLOCK));
  CHECK(refused.status() == -EAGAIN);
  CHECK(refused.event.final == 1);
}

TEST_CASE("NOQUEUE: PERSISTENT goes with what is granted, not with NL") {
  Kernel kernel;
  kernel.Lock(kEx, DLM_LKF_NOQUEUE | DLM_LKF_PERSISTENT);
  CHECK(!kernel.Result(0, 0));
  CHECK(kernel.Looked() == Texts{"lock NL EXPEDITE", "convert EX NOQUEUE QUECVT PERSISTENT"});
}

TEST_CASE("NOQUEUE: the program can neither cancel, unlock nor convert it meanwhile") {
  Kernel kernel;
  const auto index = static_cast<uint32_t>(kernel.Lock(kPr, DLM_LKF_NOQUEUE));
  const auto check = [&] {
    kernel.Looked();
    CHECK(kernel.book.Unlock(index, DLM_LKF_CANCEL, kNoBlock.data()) == 0);
    CHECK(kernel.book.DeadlockCancel(index) == 0);
    CHECK(kernel.book.Unlock(index, 0, kNoBlock.data()) == -EBUSY);
    CHECK(kernel.book.Unlock(index, DLM_LKF_FORCEUNLOCK, kNoBlock.data()) == -EBUSY);
    CHECK(kernel.book.Convert(index, kNl, 0, 0, kNoBlock.data()) == -EBUSY);
    CHECK(kernel.Looked() == Texts{});
  };
  check();
  CHECK(!kernel.Result(0, 0));
  check();
  CHECK(!kernel.Result(1, 0));
  check();
  CHECK(!kernel.Result(3, -EAGAIN));
  check();
  CHECK(kernel.Result(4, -DLM_EUNLOCK));
  CHECK(kernel.book.Unlock(index, 0, kNoBlock.data()) == -EINVAL);
}

TEST_CASE("NOQUEUE: a step that the kernel refuses ends the request with its error") {
  Kernel first;
  first.Lock(kPr, DLM_LKF_NOQUEUE);
  CHECK(first.Refuse(0, -ENOMEM));
  CHECK(first.status() == -ENOMEM);
  CHECK(first.event.final == 1);
  first.Looked();
  CHECK(!first.Result(1, 0));
  CHECK(first.Looked() == Texts{"unlock"});

  Kernel second;
  second.Lock(kEx, DLM_LKF_NOQUEUE);
  CHECK(!second.Result(0, 0));
  CHECK(!second.Refuse(1, -ENOMEM));
  second.Looked();
  CHECK(second.Result(2, -DLM_EUNLOCK));
  CHECK(second.status() == -ENOMEM);
  CHECK(second.event.final == 1);
  CHECK(second.book.results_due() == 0);
}

TEST_CASE("NOQUEUE: a request for which memory runs out half-way leaves no lock") {
  Kernel kernel;
  kernel.fails_after = 1;
  CHECK_THROWS_AS(kernel.Lock(kPr, DLM_LKF_NOQUEUE), std::bad_alloc);
  CHECK(kernel.Looked() == Texts{"lock NL"});
  CHECK(!kernel.Result(0, 0));
  CHECK(kernel.Looked() == Texts{"unlock"});
  CHECK(!kernel.Result(1, -DLM_EUNLOCK));
  CHECK(kernel.book.results_due() == 0);
}

TEST_CASE("NOQUEUE: neither conversions nor adoptions take steps") {
  Kernel kernel;
  const int64_t index = kernel.Lock(kPr, 0);
  CHECK(kernel.Result(0, 0));
  CHECK(kernel.book.Convert(static_cast<uint32_t>(index), kEx, DLM_LKF_NOQUEUE, 0,
                            kNoBlock.data()) == 0);
  CHECK(kernel.Looked() == Texts{"lock PR", "convert EX NOQUEUE"});
  CHECK(kernel.Result(1, -EAGAIN));
  CHECK(kernel.status() == -EAGAIN);
  CHECK(kernel.event.final == 0);
  kernel.Lock(kEx, DLM_LKF_NOQUEUE | DLM_LKF_ORPHAN);
  CHECK(kernel.Looked() == Texts{"adopt EX NOQUEUE ORPHAN"});
}

}  // namespace stackglue::user::test
