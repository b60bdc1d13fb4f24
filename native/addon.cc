#include <napi.h>

#include "functions.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("mount", Napi::Function::New<holdfast::Mount>(env, "mount"));
  exports.Set("umount", Napi::Function::New<holdfast::Umount>(env, "umount"));
  exports.Set("loopAttach", Napi::Function::New<holdfast::LoopAttach>(env, "loopAttach"));
  exports.Set("loopDetach", Napi::Function::New<holdfast::LoopDetach>(env, "loopDetach"));
  exports.Set("loopStatus", Napi::Function::New<holdfast::LoopStatus>(env, "loopStatus"));
  exports.Set("blockDeviceSize",
              Napi::Function::New<holdfast::BlockDeviceSize>(env, "blockDeviceSize"));
  exports.Set("sdNotify", Napi::Function::New<holdfast::SdNotify>(env, "sdNotify"));
  exports.Set("lockFile", Napi::Function::New<holdfast::LockFile>(env, "lockFile"));
  exports.Set("watchUevents", Napi::Function::New<holdfast::WatchUevents>(env, "watchUevents"));
  return exports;
}

NODE_API_MODULE(holdfast, Init)

}  // namespace
