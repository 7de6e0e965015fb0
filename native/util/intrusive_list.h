// Doubly linked lists whose links live in their elements: no allocation, O(1) insertion and
// removal.
//
// Threads: none of their own; the owner of a list guards it.
//
// Invariants: a node is on at most one list at a time; a node that is on none points at itself. A
// node on a List unlinks itself when it is destroyed; one on a Ring must have been removed before.
#ifndef STACKGLUE_NATIVE_UTIL_INTRUSIVE_LIST_H_
#define STACKGLUE_NATIVE_UTIL_INTRUSIVE_LIST_H_

namespace stackglue {

class ListNode {
 public:
  ListNode() = default;
  ~ListNode() { Unlink(); }
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;

  bool linked() const { return next_ != this; }

  // Not for a node that is on a Ring.
  void Unlink() {
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = this;
  }

 private:
  template <class T>
  friend class List;
  template <class T>
  friend class Ring;

  void InsertBefore(ListNode* node) {
    node->prev_ = prev_;
    node->next_ = this;
    prev_->next_ = node;
    prev_ = node;
  }

  ListNode* prev_ = this;
  ListNode* next_ = this;
};

// A list that its elements can leave without knowing it. T derives from ListNode, directly or
// through a base that names the list's purpose.
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

  // Takes the first element off the list, or returns null.
  T* PopFront() {
    T* first = front();
    if (first != nullptr) head_.next_->Unlink();
    return first;
  }

  // Puts `node` last; it may be on another List before.
  void PushBack(T* node) {
    ListNode* link = node;
    link->Unlink();
    head_.InsertBefore(link);
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

// A list of one pointer, for owners of which there are millions. It must be named to remove an
// element.
template <class T>
class Ring {
 public:
  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  bool empty() const { return first_ == nullptr; }
  T* front() const { return static_cast<T*>(first_); }
  T* back() const { return first_ == nullptr ? nullptr : static_cast<T*>(first_->prev_); }
  // The neighbours of an element, or null at the end.
  T* Next(const T* node) const { return Neighbour(Link(node)->next_, first_); }
  T* Prev(const T* node) const {
    return Link(node) == first_ ? nullptr : static_cast<T*>(Link(node)->prev_);
  }

  // Adds an element that is on no list.
  void PushBack(T* node) {
    if (first_ == nullptr) {
      first_ = node;
    } else {
      first_->InsertBefore(node);
    }
  }
  void PushFront(T* node) {
    PushBack(node);
    first_ = node;
  }
  void InsertBefore(T* at, T* node) {
    static_cast<ListNode*>(at)->InsertBefore(node);
    if (first_ == at) first_ = node;
  }

  // Removes an element of this list.
  void Remove(T* node) {
    ListNode* link = node;
    if (link == first_) first_ = link->linked() ? link->next_ : nullptr;
    link->Unlink();
  }

 private:
  static const ListNode* Link(const T* node) { return node; }
  static T* Neighbour(ListNode* node, const ListNode* end) {
    return node == end ? nullptr : static_cast<T*>(node);
  }

  ListNode* first_ = nullptr;
};

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_INTRUSIVE_LIST_H_
