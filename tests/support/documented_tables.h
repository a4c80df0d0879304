// SPDX-License-Identifier: Apache-2.0
// Tables in docs/*.md that the code must agree with.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "lockstep/wire/fitting_message.h"

namespace fmvm::test {

// The rows of the table under this heading whose first column has this title; no rows if there is
// no such table.
std::vector<std::vector<std::string>> documented_table(const std::string& document,
                                                       const std::string& heading,
                                                       const std::string& first_column);

// Pairs of names, sorted: a state and the next, or a message and a state that it fits.
using NamedPairs = std::vector<std::string>;
inline std::string named_pair(const std::string& name, const std::string& other) {
    return name + " -> " + other;
}

// Of the table "state | next | when" under this heading of docs/protocol.md.
NamedPairs documented_transitions(const std::string& heading);
// Of the table "message | fits" there.
NamedPairs documented_messages(const std::string& heading);

template <typename State>
NamedPairs named_transitions(std::span<const Transition<State>> table) {
    NamedPairs pairs;
    for (const Transition<State>& transition : table)
        pairs.push_back(named_pair(name_of(transition.from), name_of(transition.to)));
    std::ranges::sort(pairs);
    return pairs;
}

template <typename State>
NamedPairs named_messages(std::span<const lockstep::FittingMessage<State>> table,
                          std::span<const State> states) {
    NamedPairs pairs;
    for (const lockstep::FittingMessage<State>& message : table) {
        for (const State state : states) {
            if (message.states.contains(state))
                pairs.push_back(named_pair(name_of(message.type), name_of(state)));
        }
    }
    std::ranges::sort(pairs);
    return pairs;
}

}  // namespace fmvm::test
