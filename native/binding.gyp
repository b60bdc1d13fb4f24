{
  'targets': [{
    'target_name': 'holdfast',
    'sources': [
      'addon.cc', 'arguments.cc', 'block.cc', 'errors.cc', 'lock.cc',
      'loop.cc', 'mount.cc', 'notify.cc', 'task.cc', 'uevent.cc',
    ],
    'include_dirs': ["<!(node -p \"require('node-addon-api').include_dir\")"],
    # Exceptions are off: a std::system_error on a detached thread would end the whole agent.
    'defines': [
      'NAPI_VERSION=9',
      'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
      'NODE_ADDON_API_DISABLE_DEPRECATED',
    ],
    'cflags_cc': ['-std=c++17', '-Wall', '-Wextra', '-Werror', '-fvisibility=hidden'],
    # Node unloads an addon with the last worker that used it; a thread that is still stuck in the
    # kernel would return into unmapped code.
    'ldflags': ['-Wl,-z,nodelete'],
  }],
}
