// Subset of the algorithmic C datatypes: integers of up to 64 bits with the same widths of results and the same wrapping as
// the vendor's ac_int.h, and an unbounded queue for ac_channel.h. Used only where the vendor's headers are not installed.
#ifndef NANOFLOW_AC_H
#define NANOFLOW_AC_H

#include <queue>

template <int W, bool S>
class ac_int {
  static_assert(W >= 1 && W <= 64, "this subset holds 1 to 64 bits");
  long long value;

  static long long wrap(unsigned long long bits) {
    if (W == 64) return (long long)bits;
    const unsigned long long mask = (1ULL << (W & 63)) - 1;
    bits &= mask;
    if (S && (bits >> ((W - 1) & 63) & 1)) bits |= ~mask;
    return (long long)bits;
  }

 public:
  ac_int() : value(0) {}
  ac_int(int v) : value(wrap((unsigned long long)(long long)v)) {}
  ac_int(unsigned v) : value(wrap(v)) {}
  ac_int(long long v) : value(wrap((unsigned long long)v)) {}
  ac_int(unsigned long long v) : value(wrap(v)) {}
  ac_int(bool v) : value(wrap(v)) {}
  template <int W2, bool S2>
  ac_int(const ac_int<W2, S2>& other) : value(wrap((unsigned long long)other.raw())) {}

  long long raw() const { return value; }
  int to_int() const { return (int)value; }
  unsigned to_uint() const { return (unsigned)value; }
  bool operator[](int bit) const { return (unsigned long long)value >> bit & 1; }

  template <int N>
  ac_int<N, S> slc(int low) const {
    return ac_int<N, S>((unsigned long long)value >> low);
  }
  template <int W2, bool S2>
  ac_int& set_slc(int low, const ac_int<W2, S2>& part) {
    const unsigned long long mask = W2 == 64 ? ~0ULL : ((1ULL << (W2 & 63)) - 1);
    const unsigned long long rest = (unsigned long long)value & ~(mask << low);
    value = wrap(rest | ((unsigned long long)part.raw() & mask) << low);
    return *this;
  }
  ac_int operator>>(int count) const {
    ac_int result;
    result.value = S ? value >> count : (long long)((unsigned long long)value >> count);
    return result;
  }
  ac_int operator<<(int count) const { return ac_int((unsigned long long)value << count); }
};

// Result types as the vendor defines them: sums and products never lose bits.
template <int W1, bool S1, int W2, bool S2>
struct ac_result {
  static const bool mixed1 = S2 && !S1, mixed2 = S1 && !S2;
  static const int wide1 = W1 + mixed1, wide2 = W2 + mixed2;
  static const int widest = wide1 > wide2 ? wide1 : wide2;
  typedef ac_int<widest + 1, S1 || S2> sum;
  typedef ac_int<W1 + W2, S1 || S2> product;
  typedef ac_int<widest, S1 || S2> logic;
};

template <int W1, bool S1, int W2, bool S2>
typename ac_result<W1, S1, W2, S2>::sum operator+(const ac_int<W1, S1>& a, const ac_int<W2, S2>& b) {
  return typename ac_result<W1, S1, W2, S2>::sum(a.raw() + b.raw());
}
template <int W1, bool S1, int W2, bool S2>
typename ac_result<W1, S1, W2, S2>::product operator*(const ac_int<W1, S1>& a, const ac_int<W2, S2>& b) {
  return typename ac_result<W1, S1, W2, S2>::product(a.raw() * b.raw());
}
template <int W1, bool S1, int W2, bool S2>
typename ac_result<W1, S1, W2, S2>::logic operator|(const ac_int<W1, S1>& a, const ac_int<W2, S2>& b) {
  return typename ac_result<W1, S1, W2, S2>::logic(a.raw() | b.raw());
}
template <int W, bool S>
typename ac_result<W, S, 32, true>::sum operator+(const ac_int<W, S>& a, int b) {
  return a + ac_int<32, true>(b);
}
template <int W1, bool S1, int W2, bool S2>
bool operator>(const ac_int<W1, S1>& a, const ac_int<W2, S2>& b) {
  return a.raw() > b.raw();
}
template <int W, bool S>
bool operator>(const ac_int<W, S>& a, int b) {
  return a.raw() > b;
}
template <int W, bool S>
bool operator<(const ac_int<W, S>& a, int b) {
  return a.raw() < b;
}
template <int W, bool S>
bool operator==(const ac_int<W, S>& a, int b) {
  return a.raw() == b;
}
template <int W, bool S>
bool operator!=(const ac_int<W, S>& a, int b) {
  return a.raw() != b;
}

template <typename T>
class ac_channel {
  std::queue<T> items;

 public:
  T read() {
    T item = items.front();
    items.pop();
    return item;
  }
  void write(const T& item) { items.push(item); }
  bool available(unsigned count) const { return items.size() >= count; }
};

#endif
