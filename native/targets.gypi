# For node-gyp: the package has a binding.gyp only where it is built (native/build.mjs).
{
  'targets': [
    {
      'target_name': 'stackglue',
      'sources': ['<!@(node native/programs.mjs stackglue sources)'],
      'include_dirs': [
        '.',
        '<!(node -p "require(\'node-addon-api\').include_dir")',
      ],
      'defines': ['<!@(node native/programs.mjs stackglue defines)'],
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
      'sources': ['<!@(node native/programs.mjs stackglue-keeper sources)'],
      'include_dirs': ['.'],
      'defines': ['<!@(node native/programs.mjs stackglue-keeper defines)'],
      'cflags_cc!': ['-fno-exceptions', '-std=gnu++17', '-std=gnu++20'],
      'cflags_cc': ['-std=c++20', '-fexceptions', '-Wall', '-Wextra'],
      'ldflags': ['-static-libstdc++', '-static-libgcc'],
      'libraries': ['-ldl', '-pthread'],
    },
  ],
}
