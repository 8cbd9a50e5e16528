// remote_call.hpp: something posted to a worker from another thread.
#pragma once

namespace ouro {

/// A node of a worker's inbox. It belongs to whoever posts it until `run` is called, on the worker;
/// `run` may free it.
class remote_call {
public:
    remote_call() noexcept = default;
    remote_call(const remote_call&) = delete;
    remote_call& operator=(const remote_call&) = delete;

    virtual void run() noexcept = 0;

protected:
    ~remote_call() = default;

private:
    friend class executor;

    remote_call* next_posted_ = nullptr;
};

}  // namespace ouro
