// How a history says what it is told: for people, and the same in every run.
//
// Threads: plain functions.
#ifndef STACKGLUE_NATIVE_SIMULATOR_WORDS_H_
#define STACKGLUE_NATIVE_SIMULATOR_WORDS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "order/notice.h"

namespace stackglue::simulator {

// "EX"; "mode 9" for what is no mode.
std::string ModeName(int64_t mode);

// A name in quotes. Names are any bytes; a history is text.
std::string Quoted(std::string_view name);

// What a notice says: of node `node`, or of the group.
std::string NoticeText(NoticeKind kind, int node, std::string_view group);

// In hexadecimal, without the zeros at the end: a block has a fixed size, and they say nothing.
std::string Hex(const std::vector<uint8_t>& bytes);

}  // namespace stackglue::simulator

#endif  // STACKGLUE_NATIVE_SIMULATOR_WORDS_H_
