#include "keeper/library.h"

#include <vector>

namespace stackglue::keeper {
namespace {

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

std::unique_ptr<Library> Library::Load(const std::string& path, std::string* error) {
  void* object = OpenObject(path, error);
  if (object == nullptr) return nullptr;
  auto library = std::make_unique<Library>();
  const auto resolve = [object, error](const char* symbol, auto* function) {
    if (Resolve(object, symbol, function)) return true;
    *error = std::string("libdlm lacks ") + symbol;
    return false;
  };
  const bool complete = resolve("dlm_kernel_version", &library->dlm_kernel_version) &&
                        resolve("dlm_library_version", &library->dlm_library_version) &&
                        resolve("dlm_new_lockspace", &library->dlm_new_lockspace) &&
                        resolve("dlm_open_lockspace", &library->dlm_open_lockspace) &&
                        resolve("dlm_close_lockspace", &library->dlm_close_lockspace) &&
                        resolve("dlm_release_lockspace", &library->dlm_release_lockspace) &&
                        resolve("dlm_ls_get_fd", &library->dlm_ls_get_fd);
  if (complete) return library;
  dlclose(object);
  return nullptr;
}

}  // namespace stackglue::keeper
