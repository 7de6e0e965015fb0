// The package's version, which the build knows (native/programs.mjs).
//
// Threads: a constant.
#ifndef STACKGLUE_NATIVE_UTIL_VERSION_H_
#define STACKGLUE_NATIVE_UTIL_VERSION_H_

#ifndef STACKGLUE_VERSION
#define STACKGLUE_VERSION unknown
#endif

#define STACKGLUE_TEXT_OF(words) #words
#define STACKGLUE_TEXT(words) STACKGLUE_TEXT_OF(words)

namespace stackglue {

inline constexpr char kVersion[] = STACKGLUE_TEXT(STACKGLUE_VERSION);

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_VERSION_H_
