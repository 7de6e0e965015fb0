{ 'includes': ['native/targets.gypi'] }
