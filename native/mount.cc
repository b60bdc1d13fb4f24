// mount(2), umount2(2), and for a bind mount with attributes open_tree(2), mount_setattr(2) and
// move_mount(2): mount(2) ignores MS_RDONLY on a new bind, and a remount after it leaves a moment in
// which the bind is writable.
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "arguments.h"
#include "file.h"
#include "functions.h"
#include "task.h"

namespace holdfast {

namespace {

// mount(2) copies one page of data.
constexpr size_t kDataBytesMax = 4096;
constexpr size_t kTypeBytesMax = 4096;

struct FlagName {
  const char* name;
  unsigned long flag;       // mount(2)
  unsigned long attribute;  // mount_setattr(2); 0: none
};

constexpr FlagName kFlags[] = {
    {"rdonly", MS_RDONLY, MOUNT_ATTR_RDONLY},    {"nosuid", MS_NOSUID, MOUNT_ATTR_NOSUID},
    {"nodev", MS_NODEV, MOUNT_ATTR_NODEV},       {"noexec", MS_NOEXEC, MOUNT_ATTR_NOEXEC},
    {"noatime", MS_NOATIME, MOUNT_ATTR_NOATIME}, {"relatime", MS_RELATIME, MOUNT_ATTR_RELATIME},
    {"bind", MS_BIND, 0},                        {"remount", MS_REMOUNT, 0},
};

struct MountRequest {
  std::string source;
  std::string target;
  std::string type;
  std::string data;
  unsigned long flags = 0;
  unsigned long attributes = 0;
};

bool ReadFlags(Napi::Env env, Napi::Value value, MountRequest* request) {
  if (env.IsExceptionPending()) return false;
  if (value.IsUndefined()) return true;
  if (!value.IsArray()) return Refuse(env, "flags must be an array");
  auto names = value.As<Napi::Array>();
  for (uint32_t i = 0; i < names.Length(); i++) {
    std::string name;
    if (!TextArgument(env, names.Get(i), "flag", 32, &name)) return false;
    const FlagName* found = nullptr;
    for (const FlagName& flag : kFlags) {
      if (name == flag.name) found = &flag;
    }
    if (found == nullptr) return Refuse(env, "unknown mount flag '" + name + "'");
    request->flags |= found->flag;
    request->attributes |= found->attribute;
  }
  return true;
}

bool ReadOptional(Napi::Env env, Napi::Value value, const char* name, size_t bytes_max,
                  std::string* out) {
  if (env.IsExceptionPending()) return false;
  return value.IsUndefined() || TextArgument(env, value, name, bytes_max, out);
}

bool ReadRequest(Napi::Env env, Napi::Value value, MountRequest* request) {
  Napi::Object options;
  if (!OptionsArgument(env, value, &options)) return false;
  if (!PathArgument(env, options.Get("source"), "source", &request->source)) return false;
  if (!PathArgument(env, options.Get("target"), "target", &request->target)) return false;
  if (!ReadFlags(env, options.Get("flags"), request)) return false;
  if (!ReadOptional(env, options.Get("type"), "type", kTypeBytesMax, &request->type)) return false;
  if (!ReadOptional(env, options.Get("data"), "data", kDataBytesMax, &request->data)) return false;
  if (request->type.empty() && (request->flags & (MS_BIND | MS_REMOUNT)) == 0) {
    return Refuse(env, "type must be given, except with the flag bind or remount");
  }
  return true;
}

Outcome Failed(const char* syscall, const MountRequest& request) {
  return {Failure{errno, syscall, request.source, request.target, ""}, nullptr};
}

// The bind becomes visible with its attributes on or not at all.
Outcome BindWithAttributes(const MountRequest& request) {
  const File tree(
      open_tree(AT_FDCWD, request.source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree.ok()) return Failed("open_tree", request);
  mount_attr attributes = {};
  attributes.attr_set = request.attributes;
  // The access time settings are one field, of which relatime is the value 0.
  if ((request.flags & (MS_NOATIME | MS_RELATIME)) != 0) attributes.attr_clr = MOUNT_ATTR__ATIME;
  if (mount_setattr(tree.fd(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
    return Failed("mount_setattr", request);
  }
  if (move_mount(tree.fd(), "", AT_FDCWD, request.target.c_str(),
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) != 0) {
    return Failed("move_mount", request);
  }
  return {};
}

Outcome RunMount(const MountRequest& request) {
  const bool fresh_bind = (request.flags & (MS_BIND | MS_REMOUNT)) == MS_BIND;
  if (fresh_bind && request.flags != MS_BIND) return BindWithAttributes(request);
  const char* type = request.type.empty() ? nullptr : request.type.c_str();
  const void* data = request.data.empty() ? nullptr : request.data.c_str();
  if (mount(request.source.c_str(), request.target.c_str(), type, request.flags, data) != 0) {
    return Failed("mount", request);
  }
  return {};
}

}  // namespace

Napi::Value Mount(const Napi::CallbackInfo& info) {
  MountRequest request;
  if (!ReadRequest(info.Env(), info[0], &request)) return {};
  return RunTask(info.Env(), {"mount", request.target}, [request] { return RunMount(request); });
}

Napi::Value Umount(const Napi::CallbackInfo& info) {
  std::string target;
  bool lazy = false;
  if (!PathArgument(info.Env(), info[0], "target", &target)) return {};
  if (!FlagArgument(info.Env(), info[1], "lazy", &lazy)) return {};
  return RunTask(info.Env(), {"umount", target}, [target, lazy]() -> Outcome {
    const int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0);
    if (umount2(target.c_str(), flags) == 0) return {};
    return {Failure{errno, "umount", target, "", ""}, nullptr};
  });
}

}  // namespace holdfast
