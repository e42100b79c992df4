# Completion for badbatch. In config.nu, after `badbatch completion nu | save badbatch.nu`: use badbatch.nu *
def "nu-complete badbatch" [context: string] {
    let words = $context | split row --regex '\s+' | skip 1
    ^badbatch __complete ...$words | lines | each {|line|
        let parts = $line | split row "\t"
        {value: $parts.0, description: ($parts.1? | default "")}
    }
}
export extern badbatch [...words: string@"nu-complete badbatch"]
