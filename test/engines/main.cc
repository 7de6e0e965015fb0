// The program of one suite of engine tests. Options: doctest's own (--help).
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
