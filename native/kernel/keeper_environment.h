// The environment that a keeper is started with.
//
// Threads: any.
#ifndef STACKGLUE_NATIVE_KERNEL_KEEPER_ENVIRONMENT_H_
#define STACKGLUE_NATIVE_KERNEL_KEEPER_ENVIRONMENT_H_

#include <string>
#include <vector>

namespace stackglue::kernel {

// What of this process's environment a keeper needs, as it was when the process was started:
// LD_LIBRARY_PATH, by which libdlm may be found. A keeper may outlive the service, so it has none
// of its secrets, and nothing that is preloaded there is here. Not `environ`, which another thread
// may change meanwhile.
const std::vector<std::string>& KeeperEnvironment();

}  // namespace stackglue::kernel

#endif  // STACKGLUE_NATIVE_KERNEL_KEEPER_ENVIRONMENT_H_
