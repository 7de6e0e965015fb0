// What the tests of the simulator share: clusters, and requests in few words.
#ifndef STACKGLUE_TEST_SIMULATOR_SUPPORT_H_
#define STACKGLUE_TEST_SIMULATOR_SUPPORT_H_

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>

#include "simulator/simulation.h"

namespace stackglue::simulator::test {

inline constexpr int kNl = 0;
inline constexpr int kPr = 3;
inline constexpr int kEx = 5;

// The connection of a node's first life has its number.
inline Request Lock(ConnectionId connection, int mode, std::string resource = "r") {
  Request request;
  request.connection = connection;
  request.mode = mode;
  request.resource = std::move(resource);
  return request;
}
inline Request Unlock(ConnectionId connection, uint64_t lock, uint32_t flags = 0) {
  Request request;
  request.kind = Request::Kind::kUnlock;
  request.connection = connection;
  request.flags = flags;
  request.lock = lock;
  return request;
}

inline ConnectionId Boot(Simulation* simulation, int node) {
  Version version;
  ConnectionId connection = 0;
  REQUIRE(simulation->Start(node) == 0);
  REQUIRE(simulation->Join(node, "group", &version, &connection) == 0);
  return connection;
}

// The number of a lock that was accepted.
inline uint64_t Submit(Simulation* simulation, Request request) {
  REQUIRE(simulation->Submit(&request) == 0);
  return request.lock;
}

inline std::unique_ptr<Simulation> Make(Profile profile, uint64_t seed, int nodes,
                                        const std::string& replay = "") {
  Simulation::Options options;
  options.profile = profile;
  options.seed = seed;
  options.replay = replay;
  auto simulation = Simulation::Create(options);
  REQUIRE(simulation != nullptr);
  for (int node = 1; node <= nodes; ++node) Boot(simulation.get(), node);
  REQUIRE(simulation->Run());
  return simulation;
}

inline bool Has(const Simulation& simulation, const std::string& text) {
  return simulation.history().Text().find(text) != std::string::npos;
}

// Where in the history the text begins; it must be there.
inline size_t PlaceOf(const Simulation& simulation, const std::string& text) {
  const size_t place = simulation.history().Text().find(text);
  REQUIRE_MESSAGE(place != std::string::npos, "the history must have: " << text);
  return place;
}

}  // namespace stackglue::simulator::test

#endif  // STACKGLUE_TEST_SIMULATOR_SUPPORT_H_
