#include "keeper/node_names.h"

#include <cstdint>
#include <cstdlib>

#include "keeper/library.h"

namespace stackglue::keeper {
namespace {

// <corosync/corotypes.h>, <corosync/cmap.h>
constexpr int kCsOk = 1;
constexpr size_t kKeyMax = 255 + 1;

// The functions of <corosync/cmap.h>, under their own names.
struct CmapCalls {
  int (*cmap_initialize)(uint64_t*) = nullptr;
  int (*cmap_finalize)(uint64_t) = nullptr;
  int (*cmap_get_uint32)(uint64_t, const char*, uint32_t*) = nullptr;
  int (*cmap_get_string)(uint64_t, const char*, char**) = nullptr;
  int (*cmap_iter_init)(uint64_t, const char*, uint64_t*) = nullptr;
  int (*cmap_iter_next)(uint64_t, uint64_t, char*, size_t*, int*) = nullptr;
  int (*cmap_iter_finalize)(uint64_t, uint64_t) = nullptr;

  bool Load() {
    void* object = dlopen("libcmap.so.4", RTLD_NOW | RTLD_LOCAL);
    return object != nullptr && Resolve(object, "cmap_initialize", &cmap_initialize) &&
           Resolve(object, "cmap_finalize", &cmap_finalize) &&
           Resolve(object, "cmap_get_uint32", &cmap_get_uint32) &&
           Resolve(object, "cmap_get_string", &cmap_get_string) &&
           Resolve(object, "cmap_iter_init", &cmap_iter_init) &&
           Resolve(object, "cmap_iter_next", &cmap_iter_next) &&
           Resolve(object, "cmap_iter_finalize", &cmap_iter_finalize);
  }
};

}  // namespace

std::map<int, std::string> ReadNodeNames() {
  std::map<int, std::string> names;
  CmapCalls calls;
  uint64_t handle = 0;
  if (!calls.Load() || calls.cmap_initialize(&handle) != kCsOk) return names;
  uint64_t iterator = 0;
  if (calls.cmap_iter_init(handle, "nodelist.node.", &iterator) == kCsOk) {
    char key[kKeyMax];
    size_t size = 0;
    int type = 0;
    const std::string wanted = ".nodeid";
    while (calls.cmap_iter_next(handle, iterator, key, &size, &type) == kCsOk) {
      const std::string path(key);
      if (path.size() <= wanted.size() ||
          path.compare(path.size() - wanted.size(), wanted.size(), wanted) != 0) {
        continue;
      }
      uint32_t node = 0;
      char* name = nullptr;
      const std::string name_key = path.substr(0, path.size() - wanted.size()) + ".name";
      if (calls.cmap_get_uint32(handle, key, &node) != kCsOk) continue;
      if (calls.cmap_get_string(handle, name_key.c_str(), &name) != kCsOk) continue;
      names[static_cast<int>(node)] = name;
      free(name);
    }
    calls.cmap_iter_finalize(handle, iterator);
  }
  calls.cmap_finalize(handle);
  return names;
}

}  // namespace stackglue::keeper
