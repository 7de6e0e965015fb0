// A doubly linked list whose links live in its elements: no allocation, O(1) removal without
// knowing the list.
//
// Threads: none of its own; the owner of the list guards it.
//
// Invariants: a node is on at most one list at a time; a node that is on none points at itself; a
// node unlinks itself when it is destroyed.
#ifndef STACKGLUE_NATIVE_O2DLM_INTRUSIVE_LIST_H_
#define STACKGLUE_NATIVE_O2DLM_INTRUSIVE_LIST_H_

namespace stackglue::o2dlm {

class ListNode {
 public:
  ListNode() = default;
  ~ListNode() { Unlink(); }
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;

  bool linked() const { return next_ != this; }

  void Unlink() {
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = this;
  }

 private:
  template <class T>
  friend class List;

  ListNode* prev_ = this;
  ListNode* next_ = this;
};

// T derives from ListNode, directly or through a base that names the list's purpose.
template <class T>
class List {
 public:
  template <class U>
  class Iterator {
   public:
    explicit Iterator(ListNode* at) : at_(at) {}
    U& operator*() const { return *static_cast<U*>(at_); }
    Iterator& operator++() {
      at_ = at_->next_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return at_ != other.at_; }

   private:
    ListNode* at_;
  };

  List() = default;
  // Elements outlive their list as free nodes.
  ~List() {
    while (!empty()) head_.next_->Unlink();
  }
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  bool empty() const { return !head_.linked(); }
  T* front() { return empty() ? nullptr : static_cast<T*>(head_.next_); }

  // Puts `node` last; it may be on another list before.
  void PushBack(T* node) {
    ListNode* link = node;
    link->Unlink();
    link->prev_ = head_.prev_;
    link->next_ = &head_;
    head_.prev_->next_ = link;
    head_.prev_ = link;
  }

  Iterator<T> begin() { return Iterator<T>(head_.next_); }
  Iterator<T> end() { return Iterator<T>(&head_); }
  Iterator<const T> begin() const { return Iterator<const T>(head_.next_); }
  Iterator<const T> end() const { return Iterator<const T>(const_cast<ListNode*>(&head_)); }

  // Calls `visit(T*)` for each element; `visit` may unlink or delete the element it is given.
  template <class F>
  void ForEachSafe(F&& visit) {
    for (ListNode* at = head_.next_; at != &head_;) {
      ListNode* next = at->next_;
      visit(static_cast<T*>(at));
      at = next;
    }
  }

 private:
  ListNode head_;
};

}  // namespace stackglue::o2dlm

#endif  // STACKGLUE_NATIVE_O2DLM_INTRUSIVE_LIST_H_
