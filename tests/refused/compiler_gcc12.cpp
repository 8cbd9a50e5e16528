// g++ 12 copies closures and aggregates in awaited expressions byte by byte.
// says: g++ 12 copies aggregates and closures
#ifdef RIGHT
#define OURO_ALLOW_GCC12
#endif
#include <ouro/runtime/task.hpp>

ouro::task<> nothing() { co_return; }
