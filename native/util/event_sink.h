// How an engine tells the owner of a member that there are events to take.
#ifndef STACKGLUE_NATIVE_UTIL_EVENT_SINK_H_
#define STACKGLUE_NATIVE_UTIL_EVENT_SINK_H_

namespace stackglue {

class EventSink {
 public:
  virtual ~EventSink() = default;
  // A member's queue went from empty to non-empty. On the thread of whichever call caused it, never
  // with the cluster's mutex held, and never again once the Member's destructor returned. A call
  // may come late, when the events were already taken. Must not call back into the engine: the
  // destructor of the Member waits for it.
  virtual void OnEventsPending() noexcept = 0;
};

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_EVENT_SINK_H_
