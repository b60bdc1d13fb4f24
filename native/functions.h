// What addon.cc exports, one declaration per JavaScript function.
#pragma once

#include <napi.h>

namespace holdfast {

Napi::Value Mount(const Napi::CallbackInfo& info);
Napi::Value Umount(const Napi::CallbackInfo& info);
Napi::Value LoopAttach(const Napi::CallbackInfo& info);
Napi::Value LoopDetach(const Napi::CallbackInfo& info);
Napi::Value LoopStatus(const Napi::CallbackInfo& info);
Napi::Value BlockDeviceSize(const Napi::CallbackInfo& info);
Napi::Value SdNotify(const Napi::CallbackInfo& info);
Napi::Value LockFile(const Napi::CallbackInfo& info);
Napi::Value WatchUevents(const Napi::CallbackInfo& info);

}  // namespace holdfast
