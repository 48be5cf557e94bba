// WASI 0.1 from C++: streams, containers and algorithms of its standard library.
#include <algorithm>
#include <iostream>
#include <map>
#include <string>

int main() {
    std::cout << "hello from C++\n";
    std::map<std::string, int> words;
    for (std::string word; std::cin >> word;) ++words[word];
    for (const auto &[word, count] : words) std::cout << word << ": " << count << '\n';
    const auto most = std::max_element(words.begin(), words.end(), [](const auto &a, const auto &b) {
        return a.second < b.second;
    });
    if (most != words.end()) std::cout << "most often: " << most->first << '\n';
    return 0;
}
