// Who has a device open.
#ifndef STACKGLUE_NATIVE_KEEPER_DEVICE_USERS_H_
#define STACKGLUE_NATIVE_KEEPER_DEVICE_USERS_H_

namespace stackglue::keeper {

// Whether a process of this machine other than this one has, or may have, the device open that `fd`
// is of. True also where that cannot be seen: in a PID namespace, or without the right.
bool IsOpenElsewhere(int fd);

}  // namespace stackglue::keeper

#endif  // STACKGLUE_NATIVE_KEEPER_DEVICE_USERS_H_
