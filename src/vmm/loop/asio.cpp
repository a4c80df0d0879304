// SPDX-License-Identifier: Apache-2.0
// Boost.Asio's own code, compiled once (BOOST_ASIO_SEPARATE_COMPILATION) and not in every file that
// includes it.
#include <boost/asio/impl/src.hpp>
