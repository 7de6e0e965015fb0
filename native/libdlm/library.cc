#include "libdlm/library.h"

#include <dlfcn.h>

#include <map>
#include <memory>
#include <vector>

namespace stackglue::libdlm {
namespace {

template <typename Function>
bool Resolve(void* object, const char* symbol, Function* function, std::string* error) {
  *function = reinterpret_cast<Function>(dlsym(object, symbol));
  if (*function != nullptr) return true;
  *error = std::string("libdlm lacks ") + symbol;
  return false;
}

void* OpenObject(const std::string& path, std::string* error) {
  const std::vector<std::string> candidates =
      path.empty() ? std::vector<std::string>{"libdlm_lt.so.3", "libdlm.so.3"}
                   : std::vector<std::string>{path};
  for (const auto& candidate : candidates) {
    if (void* object = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL)) return object;
    const char* reason = dlerror();
    *error = reason != nullptr ? reason : candidate;
  }
  return nullptr;
}

}  // namespace

const Library* Library::Load(const std::string& path, std::string* error) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<Library>> loaded;

  const std::lock_guard<std::mutex> guard(mutex);
  if (const auto found = loaded.find(path); found != loaded.end()) return found->second.get();

  void* object = OpenObject(path, error);
  if (object == nullptr) return nullptr;

  std::unique_ptr<Library> library(new Library());
  const bool complete =
      Resolve(object, "dlm_kernel_version", &library->dlm_kernel_version, error) &&
      Resolve(object, "dlm_library_version", &library->dlm_library_version, error) &&
      Resolve(object, "dlm_create_lockspace", &library->dlm_create_lockspace, error) &&
      Resolve(object, "dlm_open_lockspace", &library->dlm_open_lockspace, error) &&
      Resolve(object, "dlm_close_lockspace", &library->dlm_close_lockspace, error) &&
      Resolve(object, "dlm_release_lockspace", &library->dlm_release_lockspace, error) &&
      Resolve(object, "dlm_ls_get_fd", &library->dlm_ls_get_fd, error);
  if (!complete) {
    dlclose(object);
    return nullptr;
  }
  return loaded.emplace(path, std::move(library)).first->second.get();
}

bool Library::Prepare() const {
  const std::lock_guard<std::mutex> guard(prepare_mutex_);
  if (!prepared_) {
    uint32_t major = 0;
    uint32_t minor = 0;
    uint32_t patch = 0;
    prepared_ = dlm_kernel_version(&major, &minor, &patch) == 0;
  }
  return prepared_;
}

}  // namespace stackglue::libdlm
