// How a history says what it is told. See words.h.
#include "simulator/words.h"

#include <cstdio>

namespace stackglue::simulator {

std::string ModeName(int64_t mode) {
  const char* names[] = {"NL", "CR", "CW", "PR", "PW", "EX"};
  return mode < 0 || mode > 5 ? "mode " + std::to_string(mode) : names[mode];
}

std::string Quoted(std::string_view name) {
  std::string text = "\"";
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x1f && byte < 0x7f && c != '"' && c != '\\') {
      text += c;
      continue;
    }
    char escaped[5];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    text += escaped;
  }
  return text + "\"";
}

std::string NoticeText(NoticeKind kind, int node, std::string_view group) {
  std::string who("n");
  who.append(std::to_string(node));
  switch (kind) {
    case NoticeKind::kNodeFailed:
      return who + " died";
    case NoticeKind::kNodeLeft:
      return who + " left";
    case NoticeKind::kNodeJoined:
      return who + " joined";
    case NoticeKind::kStopped:
      return Quoted(group) + " has stopped";
    case NoticeKind::kResumed:
      return Quoted(group) + " runs again";
    case NoticeKind::kReleased:
      return Quoted(group) + " was taken away";
    case NoticeKind::kQuorumLost:
      return "the quorum is lost";
    case NoticeKind::kQuorumRegained:
      return "there is a quorum again";
    case NoticeKind::kDaemonGone:
      return "the daemon is gone";
    case NoticeKind::kKeeperGone:
      return "the keeper is gone";
    case NoticeKind::kKilled:
      return "it is down";
  }
  return "?";
}

std::string Hex(const std::vector<uint8_t>& bytes) {
  size_t size = bytes.size();
  while (size > 0 && bytes[size - 1] == 0) --size;
  std::string text;
  for (size_t i = 0; i < size; ++i) {
    char hex[3];
    std::snprintf(hex, sizeof hex, "%02x", bytes[i]);
    text += hex;
  }
  return text.empty() ? "0" : text;
}

}  // namespace stackglue::simulator
