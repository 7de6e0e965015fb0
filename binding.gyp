{
  'targets': [
    {
      'target_name': 'stackglue',
      'sources': [
        'native/addon.cc',
        'native/binding/arguments.cc',
        'native/binding/event_channel.cc',
        'native/binding/fsdlm_connection.cc',
        'native/binding/numbers.cc',
        'native/binding/o2dlm_connection.cc',
        'native/binding/simulation.cc',
        'native/binding/user_connection.cc',
        'native/emulation/lockspace.cc',
        'native/order/delivery.cc',
        'native/order/event_order.cc',
        '<!@(node -p "require(\'fs\').readdirSync(\'native/kernel\').filter((f) => f.endsWith(\'.cc\')).map((f) => \'native/kernel/\' + f).join(\' \')")',
        '<!@(node -p "require(\'fs\').readdirSync(\'native/user\').filter((f) => f.endsWith(\'.cc\')).map((f) => \'native/user/\' + f).join(\' \')")',
        '<!@(node -p "require(\'fs\').readdirSync(\'native/fsdlm\').filter((f) => f.endsWith(\'.cc\')).map((f) => \'native/fsdlm/\' + f).join(\' \')")',
        '<!@(node -p "require(\'fs\').readdirSync(\'native/o2dlm\').filter((f) => f.endsWith(\'.cc\')).map((f) => \'native/o2dlm/\' + f).join(\' \')")',
        '<!@(node -p "require(\'fs\').readdirSync(\'native/simulator\').filter((f) => f.endsWith(\'.cc\')).map((f) => \'native/simulator/\' + f).join(\' \')")',
      ],
      'include_dirs': [
        'native',
        '<!(node -p "require(\'node-addon-api\').include_dir")',
      ],
      'defines': [
        'NAPI_VERSION=8',
        'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
        # While a worker thread is being terminated nothing can be thrown; that must not abort.
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
      ],
      'cflags_cc!': ['-fno-exceptions', '-std=gnu++17', '-std=gnu++20'],
      'cflags_cc': ['-std=c++20', '-fexceptions', '-fvisibility=hidden', '-Wall', '-Wextra'],
      'libraries': ['-ldl', '-pthread'],
      # A thread that waits in the kernel may outlive the environment that loaded the addon. And
      # templates of the standard library are its own: node exports those that it was built with,
      # which would be used in their place.
      'ldflags': ['-Wl,-z,nodelete', '-Wl,-Bsymbolic-functions'],
    },
    {
      'target_name': 'stackglue-keeper',
      'type': 'executable',
      'sources': [
        'native/keeper/control_device.cc',
        'native/keeper/creation_turn.cc',
        'native/keeper/device_users.cc',
        'native/keeper/library.cc',
        'native/keeper/lock_list.cc',
        'native/keeper/main.cc',
        'native/keeper/node_names.cc',
        'native/keeper/opener.cc',
        'native/keeper/sentry.cc',
        'native/kernel/device_protocol.cc',
        'native/kernel/submitter.cc',
      ],
      'include_dirs': ['native'],
      'cflags_cc!': ['-fno-exceptions', '-std=gnu++17', '-std=gnu++20'],
      'cflags_cc': ['-std=c++20', '-fexceptions', '-Wall', '-Wextra'],
      'ldflags': ['-static-libstdc++', '-static-libgcc'],
      'libraries': ['-ldl', '-pthread'],
    },
  ],
}
