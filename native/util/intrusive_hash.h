// A hash table chained through its elements. It grows by one bucket at a time (linear hashing), so
// that no insertion takes longer because the table is large, and works on with the buckets it has
// when memory runs out. It shrinks in the same way.
//
// Threads: none of its own; the owner of the table guards it.
//
// Invariants:
//  1. An element is in at most one table; its key does not change while it is there.
//  2. There are at least two buckets for three elements, unless memory ran out, and at most five
//  for
//     each, unless elements were removed by a ForEachSafe().
//  3. Segment k > 0 holds buckets 2^(k-1) to 2^k - 1. An element's bucket is its hash modulo the
//     smallest power of two that is not below the number of buckets, or half that power where
//     there is no such bucket yet.
#ifndef STACKGLUE_NATIVE_UTIL_INTRUSIVE_HASH_H_
#define STACKGLUE_NATIVE_UTIL_INTRUSIVE_HASH_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace stackglue {

// T has a field `T* hash_next`. Traits has a type `Key` that is cheap to copy, `uint64_t Hash(Key)`
// and `Key KeyOf(const T&)`; and, where elements keep what Hash() said of their keys,
// `uint64_t HashOf(const T&)`, the low 32 bits of it or more.
template <class T, class Traits>
class HashTable {
 public:
  using Key = typename Traits::Key;

  HashTable() { segments_[0] = &single_; }
  ~HashTable() {
    for (size_t i = 1; i < kSegments; ++i) std::free(segments_[i]);
  }
  HashTable(const HashTable&) = delete;
  HashTable& operator=(const HashTable&) = delete;

  size_t size() const { return size_; }
  size_t bucket_count() const { return bucket_count_; }

  T* Find(Key key) const { return Find(key, Traits::Hash(key)); }

  // The caller has made sure that the key is not there yet.
  void Insert(T* element) { Insert(element, HashOf(*element)); }

  // The same for a caller that has the key's hash already.
  T* Find(Key key, uint64_t hash) const {
    for (T* at = *BucketOf(hash); at != nullptr; at = at->hash_next) {
      if (MayHave(*at, hash) && Traits::KeyOf(*at) == key) return at;
    }
    return nullptr;
  }
  void Insert(T* element, uint64_t hash) {
    if (size_ * 2 >= bucket_count_ * 3) Grow();
    T** bucket = BucketOf(hash);
    element->hash_next = *bucket;
    *bucket = element;
    ++size_;
  }

  void Remove(T* element) {
    T** at = BucketOf(HashOf(*element));
    while (*at != element) at = &(*at)->hash_next;
    *at = element->hash_next;
    element->hash_next = nullptr;
    --size_;
    if (visits_ > 0) return;
    // As many as one element has, and one more.
    for (size_t i = 0; i <= kBucketsMax && bucket_count_ > kBucketsMax * (size_ + 1); ++i) {
      if (bucket_count_ <= kKept) return;
      Shrink();
    }
  }

  // Calls `visit(T*)` for each element in no particular order; `visit` may remove and delete the
  // element it is given, but may insert nothing.
  template <class F>
  void ForEachSafe(F&& visit) const {
    const Visit under_way(&visits_);
    for (size_t i = 0; i < bucket_count_; ++i) {
      for (T* at = *Bucket(i); at != nullptr;) {
        T* next = at->hash_next;
        visit(at);
        at = next;
      }
    }
  }

 private:
  // Buckets are numbered by the low 32 bits of a hash.
  static constexpr size_t kSegments = 33;
  // For one element. Far from what Grow() wants, so that the two do not take turns.
  static constexpr size_t kBucketsMax = 4;
  // So many stay, for elements that come and go in crowds.
  static constexpr size_t kKept = 4096;

  // What is visited must stay where it is.
  struct Visit {
    explicit Visit(size_t* of_table) : visits(of_table) { ++*visits; }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    ~Visit() { --*visits; }
    size_t* const visits;
  };

  static constexpr bool kHashesAreKept = requires(const T& element) { Traits::HashOf(element); };

  static uint64_t HashOf(const T& element) {
    if constexpr (kHashesAreKept) {
      return Traits::HashOf(element);
    } else {
      return Traits::Hash(Traits::KeyOf(element));
    }
  }
  // Whether its key can be one of that hash, without looking at the key.
  static bool MayHave(const T& element, uint64_t hash) {
    if constexpr (kHashesAreKept) {
      return static_cast<uint32_t>(Traits::HashOf(element)) == static_cast<uint32_t>(hash);
    } else {
      return true;
    }
  }

  T** Bucket(size_t index) const {
    const auto segment = static_cast<size_t>(std::bit_width(index));
    return segment == 0 ? segments_[0] : segments_[segment] + (index - std::bit_floor(index));
  }

  T** BucketOf(uint64_t hash) const {
    const size_t index = static_cast<size_t>(hash) & mask_;
    return Bucket(index < bucket_count_ ? index : index & (mask_ >> 1));
  }

  // Adds one bucket and moves there what belongs to it, all from one other bucket.
  void Grow() {
    const size_t fresh = bucket_count_;
    const auto segment = static_cast<size_t>(std::bit_width(fresh));
    if (segment >= kSegments) return;
    if (segments_[segment] == nullptr) {
      // Large ones come from the system as zeros, so this takes no longer for them.
      segments_[segment] = static_cast<T**>(std::calloc(std::bit_floor(fresh), sizeof(T*)));
      if (segments_[segment] == nullptr) return;
    }
    ++bucket_count_;
    mask_ = std::max(mask_, fresh | (std::bit_floor(fresh) - 1));
    T** to = Bucket(fresh);
    for (T** at = Bucket(fresh - std::bit_floor(fresh)); *at != nullptr;) {
      T* element = *at;
      if ((static_cast<size_t>(HashOf(*element)) & mask_) != fresh) {
        at = &element->hash_next;
        continue;
      }
      *at = element->hash_next;
      element->hash_next = *to;
      *to = element;
    }
  }

  // Takes the last bucket away; what is there goes where Grow() has taken it from.
  void Shrink() {
    const size_t last = bucket_count_ - 1;
    const size_t half = std::bit_floor(last);
    T** to = Bucket(last - half);
    while (*to != nullptr) to = &(*to)->hash_next;
    T** bucket = Bucket(last);
    *to = *bucket;
    *bucket = nullptr;
    --bucket_count_;
    if (last != half) return;
    // It was the only one of its segment.
    const auto segment = static_cast<size_t>(std::bit_width(last));
    std::free(segments_[segment]);
    segments_[segment] = nullptr;
    mask_ >>= 1;
  }

  T* single_ = nullptr;
  T** segments_[kSegments] = {};
  size_t bucket_count_ = 1;
  size_t mask_ = 0;
  size_t size_ = 0;
  mutable size_t visits_ = 0;
};

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_INTRUSIVE_HASH_H_
