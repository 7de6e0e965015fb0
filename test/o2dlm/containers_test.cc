// The containers of native/util that the engines are made of.
#include <doctest/doctest.h>

#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "util/intrusive_hash.h"
#include "util/intrusive_list.h"
#include "util/name_hash.h"
#include "util/pool.h"

namespace stackglue::test {
namespace {

struct Item : ListNode {
  explicit Item(uint64_t number) : key(number) {}
  const uint64_t key;
  Item* hash_next = nullptr;
};

struct ItemTraits {
  using Key = uint64_t;
  // Many collisions, also of whole hashes.
  static uint64_t Hash(uint64_t key) { return key / 3; }
  static uint64_t KeyOf(const Item& item) { return item.key; }
};

TEST_CASE("hash table: finds what is there and nothing else, however it grew") {
  std::mt19937 random(1);
  HashTable<Item, ItemTraits> table;
  std::vector<std::unique_ptr<Item>> items;
  std::set<uint64_t> there;
  for (uint64_t i = 0; i < 5000; ++i) items.push_back(std::make_unique<Item>(i));
  for (int step = 0; step < 40'000; ++step) {
    // More are put in than taken out at first, then the other way round.
    const uint64_t key = random() % items.size();
    const bool insert = (random() % 10 < 7) == (step < 20'000);
    if (insert && there.insert(key).second) table.Insert(items[key].get());
    if (!insert && there.erase(key) > 0) table.Remove(items[key].get());
    const uint64_t other = random() % items.size();
    Item* found = table.Find(other);
    REQUIRE((found != nullptr) == (there.count(other) > 0));
    if (found != nullptr) REQUIRE(found->key == other);
  }
  CHECK(table.size() == there.size());
  std::set<uint64_t> visited;
  table.ForEachSafe([&](Item* item) {
    CHECK(visited.insert(item->key).second);
    table.Remove(item);
  });
  CHECK(visited == there);
  CHECK(table.size() == 0);
}

std::vector<uint64_t> Keys(const Ring<Item>& ring) {
  std::vector<uint64_t> keys;
  for (Item* at = ring.front(); at != nullptr; at = ring.Next(at)) keys.push_back(at->key);
  std::vector<uint64_t> backwards;
  for (Item* at = ring.back(); at != nullptr; at = ring.Prev(at)) backwards.push_back(at->key);
  CHECK(std::vector<uint64_t>(backwards.rbegin(), backwards.rend()) == keys);
  return keys;
}

TEST_CASE("ring: elements come and go at both ends and in between") {
  Ring<Item> ring;
  Item a(1);
  Item b(2);
  Item c(3);
  CHECK(ring.empty());
  ring.PushBack(&b);
  CHECK(Keys(ring) == std::vector<uint64_t>{2});
  ring.PushFront(&a);
  ring.PushBack(&c);
  CHECK(Keys(ring) == std::vector<uint64_t>{1, 2, 3});
  ring.Remove(&a);
  ring.InsertBefore(&c, &a);
  CHECK(Keys(ring) == std::vector<uint64_t>{2, 1, 3});
  ring.Remove(&b);
  ring.InsertBefore(&a, &b);
  CHECK(Keys(ring) == std::vector<uint64_t>{2, 1, 3});
  ring.Remove(&c);
  ring.Remove(&b);
  ring.Remove(&a);
  CHECK(ring.empty());
  CHECK(ring.back() == nullptr);
}

struct Counted {
  explicit Counted(int* living) : alive(living) { ++*alive; }
  ~Counted() { --*alive; }
  int* const alive;
};

TEST_CASE("pool: objects are made and destroyed like any others, however many there were") {
  Pool<Counted> pool;
  std::mt19937 random(1);
  std::vector<Counted*> objects;
  int alive = 0;
  for (int step = 0; step < 20'000; ++step) {
    // More than the pool keeps, and down to none.
    const bool make = objects.empty() || (random() % 10 < 7) == (step < 10'000);
    if (make) {
      objects.push_back(pool.New(&alive));
      REQUIRE(objects.back() != nullptr);
    } else {
      std::swap(objects[random() % objects.size()], objects.back());
      REQUIRE(objects.back()->alive == &alive);
      pool.Delete(objects.back());
      objects.pop_back();
    }
    REQUIRE(alive == static_cast<int>(objects.size()));
  }
  CHECK(std::set<Counted*>(objects.begin(), objects.end()).size() == objects.size());
  while (!objects.empty()) {
    pool.Delete(objects.back());
    objects.pop_back();
  }
  CHECK(alive == 0);
}

TEST_CASE("name hash: names that differ in any byte or in length differ") {
  std::set<uint64_t> hashes;
  size_t count = 0;
  for (size_t length = 0; length <= 64; ++length) {
    const std::string name(length, '\0');
    hashes.insert(NameHash::Of(name));
    ++count;
    for (size_t i = 0; i < length; ++i) {
      std::string other = name;
      other[i] = 1;
      hashes.insert(NameHash::Of(other));
      ++count;
    }
  }
  CHECK(hashes.size() == count);
}

}  // namespace
}  // namespace stackglue::test
