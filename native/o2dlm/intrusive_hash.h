// A hash table chained through its elements: an insertion allocates nothing but, now and then, a
// larger array of buckets, and works on with the old one when that fails.
//
// Threads: none of its own; the owner of the table guards it.
//
// Invariants: an element is in at most one table; its key does not change while it is there. The
// number of buckets is a power of two, at least half the number of elements unless memory ran out.
#ifndef STACKGLUE_NATIVE_O2DLM_INTRUSIVE_HASH_H_
#define STACKGLUE_NATIVE_O2DLM_INTRUSIVE_HASH_H_

#include <cstddef>
#include <cstdint>
#include <new>

namespace stackglue::o2dlm {

// T has a field `T* hash_next` and a type `T::Key` that is cheap to copy. Traits has
// `uint64_t Hash(Key)` and `Key KeyOf(const T&)`.
template <class T, class Traits>
class HashTable {
 public:
  using Key = typename Traits::Key;

  HashTable() = default;
  ~HashTable() {
    if (buckets_ != &single_) delete[] buckets_;
  }
  HashTable(const HashTable&) = delete;
  HashTable& operator=(const HashTable&) = delete;

  size_t size() const { return size_; }

  T* Find(Key key) const {
    for (T* at = buckets_[Index(key)]; at != nullptr; at = at->hash_next) {
      if (Traits::KeyOf(*at) == key) return at;
    }
    return nullptr;
  }

  // The caller has made sure that the key is not there yet.
  void Insert(T* element) {
    if (size_ >= bucket_count_ * 2) Grow();
    T** bucket = &buckets_[Index(Traits::KeyOf(*element))];
    element->hash_next = *bucket;
    *bucket = element;
    ++size_;
  }

  void Remove(T* element) {
    T** at = &buckets_[Index(Traits::KeyOf(*element))];
    while (*at != element) at = &(*at)->hash_next;
    *at = element->hash_next;
    element->hash_next = nullptr;
    --size_;
  }

  // Calls `visit(T*)` for each element in no particular order; `visit` may remove and delete the
  // element it is given, but may insert nothing.
  template <class F>
  void ForEachSafe(F&& visit) const {
    for (size_t i = 0; i < bucket_count_; ++i) {
      for (T* at = buckets_[i]; at != nullptr;) {
        T* next = at->hash_next;
        visit(at);
        at = next;
      }
    }
  }

 private:
  size_t Index(Key key) const {
    return static_cast<size_t>(Traits::Hash(key)) & (bucket_count_ - 1);
  }

  void Grow() {
    const size_t count = bucket_count_ < 8 ? 16 : bucket_count_ * 4;
    T** bigger = new (std::nothrow) T* [count] {};
    if (bigger == nullptr) return;
    T** old = buckets_;
    const size_t old_count = bucket_count_;
    buckets_ = bigger;
    bucket_count_ = count;
    for (size_t i = 0; i < old_count; ++i) {
      for (T* at = old[i]; at != nullptr;) {
        T* next = at->hash_next;
        T** bucket = &buckets_[Index(Traits::KeyOf(*at))];
        at->hash_next = *bucket;
        *bucket = at;
        at = next;
      }
    }
    if (old != &single_) delete[] old;
  }

  T* single_ = nullptr;
  T** buckets_ = &single_;
  size_t bucket_count_ = 1;
  size_t size_ = 0;
};

}  // namespace stackglue::o2dlm

#endif  // STACKGLUE_NATIVE_O2DLM_INTRUSIVE_HASH_H_
