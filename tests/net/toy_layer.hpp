// toy_layer.hpp: a layer that cuts what is sent into short records and blurs them.
#pragma once

#include <ouro/net/layer.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <vector>

namespace ouro::net {

/// A record is its length (1 to 7) and as many bytes, each xor-ed with its position in the stream.
/// Length 0 is the end, and 255 a question, which the other side answers with 254.
class toy_layer final : public layer {
public:
    static constexpr std::size_t record_max = 7, records_at_once = 50;
    static constexpr std::byte the_end{0}, question{255}, answer{254};

    int take(std::span<std::byte> into) noexcept override {
        if (clear_.empty()) return broken_ ? broken_ : ended_ ? 0 : -EAGAIN;
        for (; owed_ > 0; --owed_) wire_.push_back(answer);
        const std::size_t n = std::min(into.size(), clear_.size());
        std::copy_n(clear_.begin(), n, into.begin());
        clear_.erase(clear_.begin(), clear_.begin() + static_cast<std::ptrdiff_t>(n));
        return static_cast<int>(n);
    }
    bool ready() noexcept override { return !clear_.empty() || ended_ || broken_ != 0; }
    std::span<std::byte> space() noexcept override { return space_; }

    void received(std::size_t n) noexcept override {
        if (n == 0 && !ended_) broken_ = -ECONNRESET;
        for (const std::byte each : std::span(space_).first(n)) received_byte(each);
    }

    int put(std::span<const iovec> from) noexcept override {
        std::size_t taken = 0;
        for (const iovec& part : from) {
            auto left = std::span(static_cast<const std::byte*>(part.iov_base), part.iov_len);
            while (!left.empty()) {
                if (taken >= record_max * records_at_once) return static_cast<int>(taken);
                const auto record = left.first(std::min(left.size(), record_max));
                wire_.push_back(static_cast<std::byte>(record.size()));
                for (const std::byte each : record) wire_.push_back(each ^ mask(put_++));
                taken += record.size();
                left = left.subspan(record.size());
            }
        }
        return static_cast<int>(taken);
    }
    std::span<const std::byte> pending() const noexcept override {
        return std::span(wire_).subspan(sent_);
    }
    void sent(std::size_t n) noexcept override {
        sent_ += n;
        if (sent_ < wire_.size()) return;
        wire_.clear();
        sent_ = 0;
    }
    int end() noexcept override {
        if (end_fails != 0) return end_fails;
        wire_.push_back(the_end);
        return 0;
    }

    int end_fails = 0;  // what it answers then

    /// Has the other side answer, when something is sent.
    void ask() { wire_.push_back(question); }
    int answers() const noexcept { return answers_; }
    /// Answers only when clear bytes are taken, as a layer does that looks no further before.
    void answer_late() noexcept { late_ = true; }

private:
    static std::byte mask(std::size_t at) noexcept { return static_cast<std::byte>(at * 7 + 1); }

    void received_byte(std::byte each) noexcept {
        if (ended_ || broken_) return;
        if (left_ > 0) {
            clear_.push_back(each ^ mask(taken_++));
            --left_;
        } else if (each == the_end) {
            ended_ = true;
        } else if (each == question) {
            if (late_)
                ++owed_;
            else
                wire_.push_back(answer);
        } else if (each == answer) {
            ++answers_;
        } else if (static_cast<std::size_t>(each) <= record_max) {
            left_ = static_cast<std::size_t>(each);
        } else {
            broken_ = -EPROTO;
        }
    }

    std::vector<std::byte> clear_, wire_;
    std::array<std::byte, 64> space_;
    std::size_t sent_ = 0, put_ = 0, taken_ = 0, left_ = 0;
    int broken_ = 0, answers_ = 0, owed_ = 0;
    bool ended_ = false, late_ = false;
};

}  // namespace ouro::net
