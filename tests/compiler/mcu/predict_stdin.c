#include "name.h"

#include <stdio.h>
#include <string.h>

int main(void)
{
    /* From an odd address: inputs need no alignment. */
    static int8_t memory[NAME_INPUTS + 1];
    name_score_t scores[NAME_OUTPUTS];
    while (fread(memory + 1, 1, NAME_INPUTS, stdin) == NAME_INPUTS) {
        memset(scores, 0x5a, sizeof scores);
        if (name_predict(memory + 1, scores) != 0)
            return 2;
        fwrite(scores, sizeof scores, 1, stdout);
    }
    return name_predict(0, scores) == -1 && name_predict(memory, 0) == -1 ? 0 : 3;
}
