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
#include "util/slot_table.h"

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

struct SpreadTraits : ItemTraits {
  static uint64_t Hash(uint64_t key) { return key * 0x9e3779b97f4a7c15; }
};

TEST_CASE("hash table: gives its memory back, and finds what is left") {
  HashTable<Item, SpreadTraits> table;
  std::vector<std::unique_ptr<Item>> items;
  for (uint64_t i = 0; i < 100'000; ++i) {
    items.push_back(std::make_unique<Item>(i));
    table.Insert(items.back().get());
  }
  const size_t most = table.bucket_count();
  CHECK(most > 60'000);
  for (uint64_t i = 99'999; i >= 100; --i) {
    table.Remove(items[i].get());
    if (i % 997 == 0) {
      for (uint64_t key = 0; key < i; key += 61) REQUIRE(table.Find(key) == items[key].get());
    }
  }
  CHECK(table.bucket_count() <= 4096);
  for (uint64_t i = 0; i < 100; ++i) CHECK(table.Find(i) == items[i].get());
  for (uint64_t i = 0; i < 100; ++i) table.Remove(items[i].get());
  CHECK(table.bucket_count() <= 4096);
  table.Insert(items[7].get());
  CHECK(table.Find(7) == items[7].get());
  table.Remove(items[7].get());
}

TEST_CASE("slot table: a million places go when their records do") {
  SlotTable<uint64_t> table;
  std::vector<uint32_t> indexes;
  for (uint64_t i = 0; i < 1'000'000; ++i) {
    indexes.push_back(table.Acquire());
    *table.Find(indexes.back()) = i;
  }
  CHECK(table.capacity() >= 1'000'000);
  // One in the middle is left, and is where it was.
  const uint32_t left = indexes[500'000];
  for (const uint32_t index : indexes) {
    if (index != left) table.Release(index);
  }
  CHECK(table.capacity() <= 17 * 256);
  REQUIRE(table.Find(left) != nullptr);
  CHECK(*table.Find(left) == 500'000);
  table.Release(left);
  CHECK(table.capacity() <= 16 * 256);
}

TEST_CASE("slot table: one that is used a little makes no chunk again and again") {
  SlotTable<uint64_t> table;
  const uint32_t index = table.Acquire();
  const uint64_t* place = table.Find(index);
  for (int round = 0; round < 1000; ++round) {
    table.Release(index);
    REQUIRE(table.Acquire() == index);
    REQUIRE(table.Find(index) == place);
  }
}

TEST_CASE("slot table: no handle finds the next use of its place, whatever has gone meanwhile") {
  std::mt19937 random(2);
  SlotTable<uint64_t> table;
  std::vector<std::pair<uint32_t, uint32_t>> used;
  std::set<std::pair<uint32_t, uint32_t>> ever;
  for (int step = 0; step < 200'000; ++step) {
    const bool grows = (step / 10'000) % 2 == 0;
    if (used.empty() || random() % 10 < (grows ? 7u : 3u)) {
      const uint32_t index = table.Acquire();
      const std::pair<uint32_t, uint32_t> handle{index, table.generation(index)};
      REQUIRE(handle.second != 0);
      REQUIRE(ever.insert(handle).second);
      used.push_back(handle);
      continue;
    }
    std::swap(used[random() % used.size()], used.back());
    const auto [index, generation] = used.back();
    used.pop_back();
    REQUIRE(table.Find(index, generation) != nullptr);
    table.Release(index);
    REQUIRE(table.Find(index, generation) == nullptr);
  }
  size_t visited = 0;
  table.ForEach([&](uint32_t, uint64_t&) { ++visited; });
  CHECK(visited == used.size());
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
