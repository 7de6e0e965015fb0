// The events that wait for one member. See event_queue.h.
#include "event_queue.h"

namespace stackglue::o2dlm {

void EventQueue::Clear() {
  while (EventNode* node = nodes_.front()) {
    node->Unlink();
    if (node->source == EventNode::Source::kOwned) delete static_cast<OwnedEvent*>(node);
  }
}

}  // namespace stackglue::o2dlm
