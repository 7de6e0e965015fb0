// The numbers that C++ and TypeScript share.
#ifndef STACKGLUE_NATIVE_BINDING_NUMBERS_H_
#define STACKGLUE_NATIVE_BINDING_NUMBERS_H_

#include <napi.h>

namespace stackglue::binding {

// All of them by the names that lib/native.ts has for them, which compares them when it loads.
// Threads: the loop.
Napi::Object Numbers(Napi::Env env);

}  // namespace stackglue::binding

#endif  // STACKGLUE_NATIVE_BINDING_NUMBERS_H_
