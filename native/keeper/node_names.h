// The names of the cluster's nodes: the nodelist of corosync's configuration, by libcmap.
//
// Threads: one.
#ifndef STACKGLUE_NATIVE_KEEPER_NODE_NAMES_H_
#define STACKGLUE_NATIVE_KEEPER_NODE_NAMES_H_

#include <map>
#include <string>

namespace stackglue::keeper {

// By node number. Empty where corosync is not there or gives its nodes no names.
std::map<int, std::string> ReadNodeNames();

}  // namespace stackglue::keeper

#endif  // STACKGLUE_NATIVE_KEEPER_NODE_NAMES_H_
